// An OpenID provider on a free loopback port: node server.mjs FOLDER, where FOLDER holds node_modules.
// The first line of standard input is JSON: client, secret, redirects, lifetime of access tokens in seconds.
// Each line on standard output is an event; the first one tells the address. It ends with its standard input.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const { default: Provider } = createRequire(`${process.argv[2]}/`)('oidc-provider');
const input = createInterface({ input: process.stdin });
input.on('close', () => process.exit(0));
const options = JSON.parse((await once(input, 'line'))[0]);

const tell = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    clients: [
      {
        client_id: options.client,
        client_secret: options.secret,
        // A native client's port on a loopback address is free (RFC 8252, 7.3).
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        redirect_uris: options.redirects,
        token_endpoint_auth_method: 'client_secret_post',
      },
      {
        client_id: `${options.client}-robot`,
        client_secret: options.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    claims: { openid: ['sub'], email: ['email'] },
    cookies: { keys: ['a key of the test'] },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com` }) }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    routes: { authorization: '/authorize', token: '/token', revocation: '/revoke', userinfo: '/api' },
    scopes: ['openid', 'offline_access', 'email', 'reports'],
    ttl: { AccessToken: options.lifetime, ClientCredentials: options.lifetime },
  });
  provider.on('grant.success', (ctx) => tell('grant', { type: ctx.oidc.params.grant_type }));
  provider.on('grant.error', (ctx, error) =>
    tell('refused', { type: ctx.oidc.params?.grant_type, error: error.error, detail: error.error_detail }));
  provider.on('grant.revoked', () => tell('revoked'));
  server.on('request', provider.callback());
  tell('ready', { url });
});
