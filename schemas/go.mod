module github.com/troupe-dev/troupe/schemas

go 1.26.8

require google.golang.org/protobuf v1.36.12

require (
	github.com/bufbuild/protocompile v0.14.1 // indirect
	github.com/getkin/kin-openapi v0.152.0 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/sync v0.8.0 // indirect
)
