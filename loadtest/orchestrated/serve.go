package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	engineredis "github.com/cschleiden/go-workflows/backend/redis"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/diag"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	// atOnce is how many activities run at the same time, as PAYMENT_CONCURRENCY is for Troupe's charges.
	atOnce = 256
	// lockedFor is after how much silence of a worker another one takes its tasks. Where it only was slow, the engine
	// panics when both have finished.
	lockedFor, heartbeat = 15 * time.Second, 3 * time.Second
	pollers              = 8
	executors            = 10_000 // workflows kept in memory between their tasks
	longHistory          = 100_000
	cancelWithin         = 14 * 24 * time.Hour
	keptFor              = 24 * time.Hour // after its end
	maxBody              = 64 << 10
	maxWait              = 30 * time.Second
)

// serve is the twin: the conductor and its steps, and the door through which customers come, in one process. It blocks
// until SIGTERM.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:8081", "where POST /orders is answered")
	store := flags.String("redis", "127.0.0.1:6379", "Redis of the engine and of the orders' records")
	gateway := flags.String("gateway", "http://127.0.0.1:8090", "base URL of the payment gateway")
	carrier := flags.String("carrier", "http://127.0.0.1:8091", "base URL of the carrier, which only some releases ask")
	smtpAddr := flags.String("smtp", "127.0.0.1:1025", "address of the mail server")
	release := flags.String("release", releaseFirst, "which code performs orders: "+releases)
	_ = flags.Parse(args) // ends the process
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	rdb := redis.NewClient(&redis.Options{Addr: *store, PoolSize: atOnce})
	defer func() { _ = rdb.Close() }()
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	expire := engineredis.WithAutoExpiration(keptFor)
	engine, err := engineredis.NewRedisBackend(rdb, expire, engineredis.WithBackendOptions(
		backend.WithActivityLockTimeout(lockedFor), backend.WithWorkflowLockTimeout(lockedFor),
		backend.WithMaxHistorySize(longHistory), backend.WithLogger(log),
	))
	if err != nil {
		return err
	}
	options := worker.DefaultOptions
	options.WorkflowPollers, options.ActivityPollers = pollers, pollers
	options.WorkflowHeartbeatInterval, options.ActivityHeartbeatInterval = heartbeat, heartbeat
	options.WorkflowExecutorCacheSize, options.MaxParallelActivityTasks = executors, atOnce
	w := worker.New(engine, &options)
	kept := newRecords(rdb)
	name, err := register(w, *release)
	if err == nil {
		err = w.RegisterActivity(openSteps(*gateway, *carrier, *smtpAddr, kept))
	}
	if err == nil {
		err = w.Start(ctx)
	}
	if err != nil {
		return err
	}
	d := &door{engine: client.New(engine), records: kept, flow: name}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", d.place)
	mux.HandleFunc("POST /orders/{id}/cancel", d.cancel)
	mux.HandleFunc("GET /orders/{id}", d.get)
	mux.Handle("/engine/", http.StripPrefix("/engine", diag.NewServeMux(engine)))
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: maxWait}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // customers ask again
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return w.WaitForCompletion()
}

// door answers customers as Troupe's order and query services do, so that the same crowd may come.
type door struct {
	engine  *client.Client
	records *records
	flow    string
}

func (d *door) place(w http.ResponseWriter, r *http.Request) {
	var o rest.PlaceOrder
	key := r.Header.Get("Idempotency-Key")
	err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&o)
	switch {
	case err != nil:
		err = fault.New(fault.Invalid, "the body must be an order in JSON: %w", err)
	case len(key) < 8 || len(key) > 128:
		err = fault.Field("Idempotency-Key", "must be 8 to 128 characters")
	case len(o.Lines) == 0:
		err = fault.Field("/lines", "must not be empty")
	case o.Email == "" || strings.ContainsAny(string(o.Email), "\r\n"):
		err = fault.Field("/email", "must be a mail address")
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	p := Placed{
		// Whoever asks again with the key gets the order that there is.
		ID:    uuid.NewSHA1(uuid.NameSpaceURL, []byte(o.CustomerID+"\n"+key)).String(),
		Email: string(o.Email), Currency: o.Currency, Method: o.PaymentMethod, CancelWithin: cancelWithin,
	}
	for _, l := range o.Lines {
		p.Total += int64(l.Quantity) * l.UnitPrice
	}
	begun, err := d.records.begin(r.Context(), p.ID)
	if err == nil && begun { // the engine knows those under way only: what has ended must not begin again
		_, err = d.engine.CreateWorkflowInstance(r.Context(), client.WorkflowInstanceOptions{InstanceID: p.ID}, d.flow, p)
	}
	if err != nil && !errors.Is(err, backend.ErrInstanceAlreadyExists) {
		problem.Write(w, r, fault.As(fault.Unavailable, err))
		return
	}
	reply(w, http.StatusAccepted, map[string]any{
		"id": p.ID, "status": "placed", "total": p.Total, "currency": p.Currency,
		"consistency_token": p.ID, // what is read is never older
	})
}

func (d *door) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	rec, err := d.records.get(r.Context(), id)
	if err == nil && rec.Status != "cancelled" {
		err = d.engine.SignalWorkflow(r.Context(), id, cancelSignal, true)
	}
	if errors.Is(err, backend.ErrInstanceNotFound) {
		err = fault.New(fault.NotFound, "no order %s is under way", id)
	}
	if err != nil {
		problem.Write(w, r, fault.As(cmp.Or(fault.ClassOf(err), fault.Unavailable), err))
		return
	}
	reply(w, http.StatusAccepted, map[string]any{"id": id, "status": rec.Status})
}

func (d *door) get(w http.ResponseWriter, r *http.Request) {
	id, wait := r.PathValue("id"), 2*time.Second
	if s, asked := strings.CutPrefix(r.Header.Get("Prefer"), "wait="); asked {
		if n, err := strconv.Atoi(s); err == nil {
			wait = min(time.Duration(n)*time.Second, maxWait)
		}
	}
	if r.URL.Query().Get("until") != "settled" {
		wait = 0
	}
	rec, err := d.records.settled(r.Context(), id, wait)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"id": id, "status": rec.Status, "settled": rec.over(), "payment": map[string]string{"status": rec.Payment},
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the customer may be gone
}
