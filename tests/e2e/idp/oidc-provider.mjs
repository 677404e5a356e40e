// The certified OpenID provider `oidc-provider`, for tests: what it knows stands in a JSON file that is read again for
// every request, so that a test changes people, groups, keys and the clock while it runs.
//
//   node oidc-provider.mjs --port 9000 --state state.json [--host 127.0.0.1]
//
// Prints `ready <issuer>` once it listens; port 0 takes a free one. People sign in with their name and any password. The
// state:
//
//   {
//     "clients": [ … as oidc-provider takes them (RFC 7591): client_id, client_secret, redirect_uris,
//                  post_logout_redirect_uris, backchannel_logout_uri, id_token_signed_response_alg … ],
//     "users": { "ada": { "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": true, "groups": ["x"] } },
//     "keys": 1,                  another number: other keys, and the old ones are gone
//     "skew_seconds": 0,          its clock is ahead by so much
//     "userinfo_only": false,     claims of scopes come from userinfo and not in the ID token
//     "slow_ms": 0,               every answer takes so long
//     "down": false,              connections are closed without an answer
//     "only": ""                  slow and down are only paths that begin so: `/token`
//   }

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    state: { type: 'string' },
  },
});

const DEFAULTS = { clients: [], users: {}, keys: 1, skew_seconds: 0, userinfo_only: false, slow_ms: 0, down: false, only: '' };

let state = read();
const ownNow = Date.now;
Date.now = () => ownNow() + state.skew_seconds * 1000;

const keys = new Map();
const providers = new Map();
let issuer;

const server = createServer(async (request, response) => {
  state = read();
  const moody = request.url.startsWith(state.only);
  if (state.down && moody) {
    request.socket.destroy();
    return;
  }
  await sleep(moody ? state.slow_ms : 0);
  response.setHeader('Date', new Date(Date.now()).toUTCString());
  provider()(request, response);
});

server.listen(Number(options.port), options.host, () => {
  issuer = `http://${options.host}:${server.address().port}`;
  provider();
  console.log(`ready ${issuer}`);
});

/** What was last written, also while a test is writing. */
function read() {
  try {
    return { ...DEFAULTS, ...JSON.parse(readFileSync(options.state, 'utf8')) };
  } catch (error) {
    if (state === undefined) throw error;
    return state;
  }
}

/** One per set of keys and clients; what was issued is in the module's memory and survives. */
function provider() {
  const name = JSON.stringify([state.clients, state.keys, state.userinfo_only]);
  if (!providers.has(name)) {
    const own = new Provider(issuer, configuration());
    own.on('backchannel.error', (_context, error) => console.error(`back-channel logout failed: ${error}`));
    own.on('server_error', (_context, error) => console.error(error));
    providers.set(name, own.callback());
  }
  return providers.get(name);
}

function configuration() {
  const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
  return {
    clients: state.clients,
    jwks: { keys: keysOf(state.keys) },
    enabledJWA: { idTokenSigningAlgValues: algorithms },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username'],
      groups: ['groups'],
    },
    scopes: ['openid', 'offline_access'],
    conformIdTokenClaims: state.userinfo_only,
    cookies: { keys: ['a test signs its cookies with this'] },
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      revocation: { enabled: true },
    },
    ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Session: 3600, Grant: 3600, Interaction: 600, RefreshToken: 3600 },
    findAccount,
    loadExistingGrant: grantAll,
    issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    // Without its own guard against private addresses: here everything is on one.
    fetch: (url, { dispatcher: _guarded, ...options }) => fetch(url, options),
    renderError: (context, out) => {
      context.type = 'text/plain';
      context.body = JSON.stringify(out);
    },
  };
}

function keysOf(generation) {
  if (!keys.has(generation)) {
    const make = (type, parameters) => {
      const { privateKey } = generateKeyPairSync(type, parameters);
      return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: `${type}-${generation}` };
    };
    keys.set(generation, [
      make('rsa', { modulusLength: 2048 }),
      make('ec', { namedCurve: 'P-256' }),
      make('ed25519'),
    ]);
  }
  return keys.get(generation);
}

/** Asked at each sign-in, userinfo and refresh: whoever was taken out of the file is gone. */
function findAccount(_context, sub) {
  if (!Object.hasOwn(state.users, sub)) return undefined;
  return { accountId: sub, claims: () => ({ sub, preferred_username: sub, ...state.users[sub] }) };
}

/** Nobody is asked for consent. */
async function grantAll(context) {
  const { client, session, provider: own, params } = context.oidc;
  const existing = session.grantIdFor(client.clientId);
  const grant = existing ? await own.Grant.find(existing) : undefined;
  const wanted = grant ?? new own.Grant({ clientId: client.clientId, accountId: session.accountId });
  wanted.addOIDCScope(params.scope);
  await wanted.save();
  return wanted;
}
