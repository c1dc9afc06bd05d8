// The token of a build for a token of this server: token exchange (RFC 8693) and assertions (RFC 7523 section 2.1).
import { errors } from 'oidc-provider';

import { BEARER, EXCHANGE } from './clients.mjs';

const { SUBJECT_TOKEN = 'subject-of-the-runner' } = process.env;
const TYPES = ['jwt', 'id_token', 'access_token'].map((type) => `urn:ietf:params:oauth:token-type:${type}`);
const PARAMETERS = [
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'actor_token',
  'actor_token_type',
  'audience',
  'resource',
  'scope',
];

/** A token in the client's own name. */
async function grant(provider, ctx, more) {
  const { client, params } = ctx.oidc;
  const token = new provider.ClientCredentials({ client, scope: params.scope });
  ctx.oidc.entity('ClientCredentials', token);
  const value = await token.save();
  ctx.body = { access_token: value, token_type: 'Bearer', expires_in: token.expiration, scope: token.scope, ...more };
}

async function exchange(provider, ctx) {
  const { params } = ctx.oidc;
  if (!TYPES.includes(params.subject_token_type)) {
    throw new errors.InvalidRequest('subject_token_type is missing or not understood');
  }
  if (params.subject_token !== SUBJECT_TOKEN) {
    // A subject token that is not accepted is an `invalid_request` (section 2.2.2).
    throw new errors.InvalidRequest('the subject token is not accepted');
  }
  await grant(provider, ctx, { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' });
}

async function assertion(provider, ctx) {
  if (ctx.oidc.params.assertion !== SUBJECT_TOKEN) throw new errors.InvalidGrant('the assertion is not accepted');
  await grant(provider, ctx);
}

export function offerExchange(provider) {
  provider.registerGrantType(EXCHANGE, (ctx) => exchange(provider, ctx), PARAMETERS, ['audience', 'resource']);
  provider.registerGrantType(BEARER, (ctx) => assertion(provider, ctx), ['assertion', 'scope']);
}
