// What the server is told to be.
import { generateKeyPairSync } from 'node:crypto';

import { Kept } from './adapter.mjs';
import { clients } from './clients.mjs';

/** Seconds an access token lives; `/_control` changes it. */
export const lifetime = { seconds: Number(process.env.ACCESS_TTL ?? 3600) };

const { STRICT_OFFLINE } = process.env;

/** The people this server knows: everybody, each by the name they sign in with. */
async function findAccount(_ctx, accountId) {
  const claims = {
    sub: accountId,
    email: `${accountId}@acme.example`,
    email_verified: true,
    preferred_username: accountId,
  };
  return { accountId, claims: async () => claims };
}

/** A key to sign ID tokens with, made anew each time. */
function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' };
}

export const configuration = () => ({
  adapter: Kept,
  clients,
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  scopes: ['openid', 'offline_access', 'api', 'read'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
  // Claims of scopes are in the ID token too, as many servers have it.
  conformIdTokenClaims: false,
  clockTolerance: 0,
  cookies: { keys: ['a cookie of a test'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: { enabled: false },
    revocation: { enabled: true },
  },
  findAccount,
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  expiresWithSession: () => false,
  // As the specification has it, a refresh token wants the scope `offline_access` and, in a browser, `prompt=consent`.
  issueRefreshToken: (_ctx, client, source) =>
    client.grantTypeAllowed('refresh_token') && (!STRICT_OFFLINE || source.scopes.has('offline_access')),
  jwks: { keys: [signingKey()] },
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  ttl: {
    AccessToken: () => lifetime.seconds,
    ClientCredentials: () => lifetime.seconds,
    DeviceCode: () => Number(process.env.DEVICE_TTL ?? 600),
    Grant: () => 86400,
    IdToken: () => 3600,
    Interaction: () => 600,
    RefreshToken: () => 86400,
    Session: () => 86400,
  },
});
