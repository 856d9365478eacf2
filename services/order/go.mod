module github.com/troupe-dev/troupe/services/order

go 1.26.8

require (
	github.com/troupe-dev/troupe/pkg v0.0.0
	github.com/troupe-dev/troupe/schemas v0.0.0
)

require pgregory.net/rapid v1.3.0 // indirect

replace (
	github.com/troupe-dev/troupe/pkg => ../../pkg
	github.com/troupe-dev/troupe/schemas => ../../schemas
)
