module github.com/troupe-dev/troupe/schemas

go 1.26.8

require google.golang.org/protobuf v1.36.12
