// Tokens of a real provider, as a program and a person get them, for the live service.
import * as oidc from "openid-client";

const RESOURCE = "urn:ninety";
const BACK = "http://127.0.0.1/back";
const insecure = { execute: [oidc.allowInsecureRequests] };

/** A program's token, by its own secret. */
export async function ofAProgram(issuer) {
  const config = await oidc.discovery(new URL(issuer), "loader", "of the loader", undefined, insecure);
  const { access_token } = await oidc.clientCredentialsGrant(config, { scope: "ninety/events:read", resource: RESOURCE });
  return access_token;
}

/** The token of somebody who signs in on the provider's pages and agrees, by a code with PKCE. */
export async function ofAPerson(issuer, name) {
  const config = await oidc.discovery(new URL(issuer), "desk", undefined, oidc.None(), insecure);
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  const asked = oidc.buildAuthorizationUrl(config, {
    redirect_uri: BACK, scope: "openid", resource: RESOURCE, state: expectedState,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: "S256",
  });
  const back = await browsed(asked, { login: name, password: "any" });
  const { access_token, claims } = await oidc.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState });
  if (!claims) throw new Error("no ID token");
  return access_token;
}

/** Where a browser is sent to at last: it follows, keeps cookies, and fills in each page's form. */
async function browsed(from, fields) {
  const cookies = new Map();
  let [url, body] = [from];
  for (let steps = 0; steps < 20; steps += 1) {
    if (`${url}`.startsWith(BACK)) return url;
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { method: body ? "POST" : "GET", body, headers: { cookie }, redirect: "manual" });
    for (const each of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(each);
      cookies.set(name, value);
    }
    const page = await answer.text();
    if (answer.headers.has("location")) [url, body] = [new URL(answer.headers.get("location"), url)];
    else {
      const [, action] = /<form[^>]* action="([^"]+)"/.exec(page) ?? [];
      if (!action) throw new Error(`the provider answered ${answer.status}: ${page.slice(0, 200)}`);
      const prompt = /name="prompt" value="([^"]+)"/.exec(page)[1];
      [url, body] = [new URL(action, url), new URLSearchParams({ prompt, ...(prompt === "login" ? fields : {}) })];
    }
  }
  throw new Error("the provider sent us round in a circle");
}
