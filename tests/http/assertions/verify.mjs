// Checks an assertion as a service does, and prints its claims; exits with 3 if it is refused.
//
// Usage: verify.mjs JWKS ALGORITHM AUDIENCE TOKEN

const { createRemoteJWKSet, errors, jwtVerify } = await import(`${process.env.LODGE_TEST_JOSE}/dist/webapi/index.js`);
const [jwks, algorithm, audience, token] = process.argv.slice(2);
const options = {
  algorithms: [algorithm],
  audience,
  issuer: "lodge",
  requiredClaims: ["exp", "iat", "sub", "jti"],
  typ: "lodge-assertion+jwt",
};
try {
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwks)), options);
  console.log(JSON.stringify(payload));
} catch (error) {
  if (!(error instanceof errors.JOSEError)) throw error;
  console.error(error.message);
  process.exitCode = 3;
}
