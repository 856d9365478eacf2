package authtest

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"

	"github.com/troupe-dev/troupe/pkg/auth"
	"golang.org/x/oauth2"
)

// give gives a client that knows Secret tokens: of an operator, by the client credentials grant; of the person at the
// browser, by a code; and of a person, without a secret, by the refresh token of Refresh.
func (i *Issuer) give(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code}) // a caller that hung up
	}
	if i.isAway() {
		refuse(http.StatusBadGateway, "")
		return
	}
	i.mu.Lock()
	asked := i.codes[r.FormValue("code")]
	delete(i.codes, r.FormValue("code"))
	person, spoil, refresh := i.person, i.Spoil, i.refresh
	i.mu.Unlock()
	answer := map[string]any{"token_type": "Bearer", "expires_in": 3600}
	switch grant := r.FormValue("grant_type"); {
	case grant == "refresh_token" && r.FormValue("refresh_token") == refresh:
		answer["access_token"], answer["refresh_token"] = i.Sign(person), i.Refresh()
	case grant == "refresh_token":
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	case secret != Secret:
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	case grant == "client_credentials":
		answer["access_token"] = i.Token(id, auth.Operator)
	case grant == "authorization_code" && asked != nil && r.FormValue("redirect_uri") == asked.Get("redirect_uri") &&
		oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) == asked.Get("code_challenge"):
		access := maps.Clone(person)
		named := person.But("aud", id).But("nonce", asked.Get("nonce"))
		if spoil != nil {
			spoil(access, named)
		}
		answer["access_token"], answer["id_token"] = i.Sign(access), i.Sign(named)
	default:
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	}
	i.mu.Lock()
	i.given++
	i.mu.Unlock()
	_ = json.NewEncoder(w).Encode(answer) // a caller that hung up
}

// authorize sends the person at the browser back with a code.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	if asked.Get("response_type") != "code" || asked.Get("code_challenge_method") != "S256" || asked.Get("state") == "" {
		http.Error(w, "not like that", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.mu.Lock()
	i.codes[code] = asked
	i.mu.Unlock()
	back := url.Values{"code": {code}, "state": asked["state"]}
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// Person says who is at the browser.
func (i *Issuer) Person(c Claims) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.person = c
}

// Refresh makes the refresh token that is good from now on.
func (i *Issuer) Refresh() string {
	token := rand.Text()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refresh = token
	return token
}
