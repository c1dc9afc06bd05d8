// An authorization server on loopback for the tests: oidc-provider, with its pages, a resource and a log. It prints
// its issuer as one line of JSON once it listens, and ends when its standard input does. Variables that shape it:
//
// ACCESS_TTL      seconds an access token lives
// ACCOUNT         who signs in where no login_hint says so; else alice
// CLIENT_KEYS     files of public keys, parted by commas, each of a client signer-RS256, signer-ES256, signer-EdDSA
// DENY            everybody says no
// DEVICE_INTERVAL seconds between polls that the device answer asks for; else it does not say
// DEVICE_TTL      seconds a device code lives
// ISS             `wrong` or `missing`: what becomes of `iss` in the redirect to the client
// STRICT_OFFLINE  a refresh token only for offline_access, which a browser gets with prompt=consent alone
// SUBJECT_TOKEN   the token of a build that the client `runner` may exchange
import { createServer } from 'node:http';

// Advice for those who run it in earnest; standard output is for the one line.
console.info = () => {};
console.warn = () => {};

const { Provider } = await import('oidc-provider');
const { configuration, lifetime } = await import('./configuration.mjs');
const { offerExchange } = await import('./exchange.mjs');
const { interaction } = await import('./pages.mjs');

const { DEVICE_INTERVAL, ISS } = process.env;
const LOGGED = ['/token', '/token/revocation', '/token/introspection', '/device/auth', '/me', '/reg'];
const log = [];

/** 200 and whose it is for a live access token, else 401. */
async function resource(provider, ctx) {
  const value = /^Bearer (.+)$/.exec(ctx.get('authorization'))?.[1];
  const token =
    value && ((await provider.AccessToken.find(value)) ?? (await provider.ClientCredentials.find(value)));
  if (!token) {
    ctx.status = 401;
    ctx.set('WWW-Authenticate', 'Bearer error="invalid_token"');
    ctx.body = { error: 'invalid_token' };
    return;
  }
  ctx.body = { account: token.accountId ?? token.clientId };
}

/** What the redirect to the client says of its issuer, falsified where the test wants it so. */
function falsified(issuer, location) {
  const to = new URL(location, issuer);
  if (!ISS || to.origin === issuer || !to.searchParams.has('iss')) return location;
  if (ISS === 'wrong') to.searchParams.set('iss', 'http://127.0.0.1:1');
  else to.searchParams.delete('iss');
  return to.href;
}

/** Hears every request: answers what is not oidc-provider's, and notes what is. */
function hear(provider) {
  return async (ctx, next) => {
    if (ctx.path === '/_log') ctx.body = log;
    else if (ctx.path === '/_control') {
      if (ctx.query.ttl) lifetime.seconds = Number(ctx.query.ttl);
      ctx.body = {};
    } else if (ctx.path === '/resource') await resource(provider, ctx);
    else if (ctx.path.startsWith('/interaction/')) await interaction(provider, ctx);
    else {
      await next();
      if (ctx.path === '/device/auth' && ctx.body?.device_code && DEVICE_INTERVAL) {
        ctx.body = { ...ctx.body, interval: Number(DEVICE_INTERVAL) };
      }
      const location = ctx.response.get('location');
      if (location) ctx.set('Location', falsified(provider.issuer, location));
      if (LOGGED.includes(ctx.path)) {
        const asked = ctx.oidc?.params ?? {};
        log.push({
          path: ctx.path,
          grant_type: asked.grant_type,
          client_id: ctx.oidc?.client?.clientId ?? asked.client_id,
          status: ctx.status,
          error: ctx.body?.error,
        });
      }
    }
  };
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  provider.use(hear(provider));
  provider.on('server_error', (_ctx, error) => console.error(error));
  offerExchange(provider);
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});

process.stdin.on('end', () => process.exit(0)).resume();
