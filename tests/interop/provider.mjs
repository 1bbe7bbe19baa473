// panva's oidc-provider as an identity provider of staff and programs: `node provider.mjs`, whose first line is its
// issuer. Access tokens are JSON Web Tokens for `ninety`; who signs in is an agent and a lead, by words of its own.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const jwk = (type, options) => generateKeyPairSync(type, options).privateKey.export({ format: "jwk" });
const audience = { audience: "ninety", scope: "ninety/events:read ninety/tickets:read", accessTokenFormat: "jwt" };

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...jwk("rsa", { modulusLength: 2048 }), use: "sig" }] },
  cookies: { keys: ["of a test"] },
  clients: [
    { client_id: "loader", client_secret: "of the loader", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] },
    { client_id: "desk", token_endpoint_auth_method: "none", redirect_uris: ["http://127.0.0.1/back"], application_type: "native" },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (_, token) => (token.accountId ? { groups: ["Everyone", "Support", "Support Leads"] } : undefined),
  features: {
    clientCredentials: { enabled: true },
    // Its own pages to sign in and to agree.
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true, defaultResource: () => "urn:ninety", useGrantedResource: () => true, getResourceServerInfo: () => audience,
    },
  },
});
server.on("request", provider.callback());
console.log(issuer);
