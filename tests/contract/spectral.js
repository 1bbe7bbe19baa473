// What openapi.json is held to: all rules of the OpenAPI and the OWASP (2023) rulesets, but for what is said here.
import { schema } from "@stoplight/spectral-functions";
import { oas } from "@stoplight/spectral-rulesets";
import owasp from "@stoplight/spectral-owasp-ruleset";

const sent = (type) => [
  `$.paths[*][*].parameters..[?(@ && @.type=="${type}")]`,
  `$.paths[*][*].requestBody..[?(@ && @.type=="${type}")]`,
];
const bounded = (...words) => ({
  function: schema,
  functionOptions: { schema: { type: "object", anyOf: words.map((word) => ({ required: [word] })) } },
});
const rule = (name, changes) => ({ ...owasp.rules[name], ...changes });

export default {
  extends: [
    [oas, "all"],
    [owasp, "all"],
  ],
  rules: {
    // They guard against callers who send too much. An answer is as long as what was stored, which was bounded on its
    // way in; to promise a length there would break clients the day that a limit is raised. A text of a form is bounded
    // by its pattern's own quantifiers, and an id or an instant by its format.
    "owasp:api4:2023-string-limit": rule("owasp:api4:2023-string-limit", {
      given: sent("string"),
      then: bounded("maxLength", "enum", "const", "pattern", "format"),
    }),
    "owasp:api4:2023-array-limit": rule("owasp:api4:2023-array-limit", {
      given: sent("array"),
      then: bounded("maxItems"),
    }),
    "owasp:api4:2023-integer-limit": rule("owasp:api4:2023-integer-limit", { given: sent("integer") }),
    "owasp:api4:2023-integer-limit-legacy": rule("owasp:api4:2023-integer-limit-legacy", { given: sent("integer") }),
    // As it stands it takes every schema without a `type` of its own (X or null) for a number.
    "owasp:api1:2023-no-numeric-ids": rule("owasp:api1:2023-no-numeric-ids", {
      then: { function: schema, functionOptions: { schema: { not: { required: ["type"], properties: { type: { const: "integer" } } } } } },
    }),
    // Free text (a subject, a message, a name) has no pattern; where there is a form, it is said.
    "owasp:api4:2023-string-restricted": "off",
    // 4XX and 5XX say once what each status in them would have to repeat: every refusal has the same shape.
    "owasp:api4:2023-rate-limit-responses-429": "off",
    "owasp:api8:2023-define-error-responses-401": "off",
    "owasp:api8:2023-define-error-responses-500": "off",
    // Health, figures and explanations of problem codes are open to all, with nothing of anybody in them.
    "owasp:api2:2023-read-restricted": "off",
    // Which origins may read the answers is a setting; an answer to anybody else has no such header.
    "owasp:api8:2023-define-cors-origin": "off",
    // Whom to turn to is the business of whoever runs an installation.
    "contact-properties": "off",
    // OpenAPI 3.1 lets a bearer scheme name the roles that an operation needs; the rule is of 3.0.
    "oas3-operation-security-defined": "off",
    // A licence has a URL or, since 3.1, an SPDX identifier, never both.
    "license-url": "off",
    // Tags are in the order of what matters.
    "openapi-tags-alphabetical": "off",
  },
};
