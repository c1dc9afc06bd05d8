// Who may ask the server for tokens.
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Every printable ASCII character that form-encoding, HTTP Basic, a shell or JSON might take for its own. */
export const SECRET = 'p%:+ &=/?#"\\\'<>~*!@$^;,|`{}[]() %41%zz';

export const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** The public keys in the files that CLIENT_KEYS names, PEM or JWK, parted by commas. */
function keys() {
  const files = (process.env.CLIENT_KEYS ?? '').split(',').filter(Boolean);
  return files.map((file) => {
    const text = readFileSync(file, 'utf8');
    const jwk = text.startsWith('{') ? JSON.parse(text) : createPublicKey(text).export({ format: 'jwk' });
    const algorithm = { RSA: 'RS256', EC: 'ES256', OKP: 'EdDSA' }[jwk.kty];
    return { client: `signer-${algorithm}`, jwk };
  });
}

/** A client that acts for itself alone. */
const machine = (clientId, method, more) => ({
  client_id: clientId,
  token_endpoint_auth_method: method,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  ...more,
});

/** A client that a person signs in to: public, on loopback with any port. */
const native = {
  client_id: 'native',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token', DEVICE],
  response_types: ['code'],
  redirect_uris: ['', '/', '/callback'].flatMap((path) => [`http://127.0.0.1${path}`, `http://[::1]${path}`]),
};

export const clients = [
  native,
  // It has a secret besides.
  { ...native, client_id: 'desktop', token_endpoint_auth_method: 'client_secret_basic', client_secret: SECRET },
  machine('svc', 'client_secret_basic', { client_secret: SECRET }),
  machine('poster', 'client_secret_post', { client_secret: SECRET }),
  // May read any token; no client of claviger's.
  machine('inspector', 'client_secret_post', { client_secret: 'inspect' }),
  machine('runner', 'none', { grant_types: [EXCHANGE, BEARER] }),
  ...keys().map(({ client, jwk }) => machine(client, 'private_key_jwt', { jwks: { keys: [jwk] } })),
];
