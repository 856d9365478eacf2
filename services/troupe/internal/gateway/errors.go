package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// apiError is an error as Stripe's API words it.
type apiError struct {
	Status      int         `json:"http_status,omitempty"` // kept in the ledger, not shown
	Type        string      `json:"type"`
	Code        string      `json:"code,omitempty"`
	DeclineCode string      `json:"decline_code,omitempty"`
	Message     string      `json:"message"`
	Param       string      `json:"param,omitempty"`
	Charge      string      `json:"charge,omitempty"`
	Intent      *intentView `json:"payment_intent,omitempty"`
}

const (
	typeInvalid     = "invalid_request_error"
	typeCard        = "card_error"
	typeIdempotency = "idempotency_error"
	typeAPI         = "api_error"
)

func invalid(code, param, message string) *apiError {
	return &apiError{Status: http.StatusBadRequest, Type: typeInvalid, Code: code, Param: param, Message: message}
}

// refused blames no parameter: nothing that a caller could take for its customer's doing.
func refused(message string) *apiError { return invalid("", "", message) }

func missing(kind, param, id string) *apiError {
	status := http.StatusNotFound
	if param == "payment_method" || param == "payment_intent" { // named in the body, not in the URL
		status = http.StatusBadRequest
	}
	return &apiError{Status: status, Type: typeInvalid, Code: "resource_missing", Param: param,
		Message: "No such " + kind + ": " + strconv.Quote(id)}
}

func unavailable(message string) *apiError {
	return &apiError{Status: http.StatusServiceUnavailable, Type: typeAPI, Message: message}
}

func unwritable() *apiError {
	return &apiError{Status: http.StatusInternalServerError, Type: typeAPI, Message: "The ledger cannot be written."}
}

func unknownURL(w http.ResponseWriter, r *http.Request) {
	fail(w, &apiError{Status: http.StatusNotFound, Type: typeInvalid,
		Message: "Unrecognized request URL (" + r.Method + ": " + r.URL.Path + "). The simulator knows payment intents and refunds."})
}

func fail(w http.ResponseWriter, e *apiError) {
	reply(w, e.Status, map[string]any{"error": e.shown()})
}

// shown is the error as callers see it: the status is that of the answer.
func (e *apiError) shown() *apiError {
	if e == nil {
		return nil
	}
	c := *e
	c.Status = 0
	return &c
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone; nobody to tell
}
