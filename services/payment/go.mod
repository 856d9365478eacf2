module github.com/troupe-dev/troupe/services/payment

go 1.26.8

require (
	github.com/troupe-dev/troupe/pkg v0.0.0
	github.com/troupe-dev/troupe/schemas v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/felixge/httpsnoop v1.1.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/stripe/stripe-go/v84 v84.4.1 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp v0.72.0 // indirect
	go.opentelemetry.io/otel v1.47.0 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/metric v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace (
	github.com/troupe-dev/troupe/pkg => ../../pkg
	github.com/troupe-dev/troupe/schemas => ../../schemas
)
