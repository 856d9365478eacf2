// Tokens of the customers, where the troupe takes some: each is a client of the issuer, by one secret, as in a playground.
import encoding from 'k6/encoding';
import http from 'k6/http';

const ISSUER = __ENV.ISSUER_URL || '';
const secret = ISSUER ? open(__ENV.ISSUER_SECRET_FILE).trim() : '';
const known = {}; // by customer

// tokenURL is where the issuer gives tokens; empty without one.
export function tokenURL() {
  return ISSUER ? http.get(`${ISSUER}/.well-known/openid-configuration`).json('token_endpoint') : '';
}

// bearer is the header that a customer's requests have.
export function bearer(customer, url) {
  if (!url) return {};
  if (!known[customer]) {
    const basic = encoding.b64encode(`${customer}:${secret}`);
    const answer = http.post(url, { grant_type: 'client_credentials' }, { headers: { Authorization: `Basic ${basic}` }, tags: { name: 'POST token' } });
    known[customer] = answer.json('access_token');
  }
  return { Authorization: `Bearer ${known[customer]}` };
}
