module github.com/troupe-dev/troupe/services/troupe

go 1.26.8

require (
	github.com/troupe-dev/troupe/pkg v0.0.0
	github.com/troupe-dev/troupe/schemas v0.0.0
	github.com/troupe-dev/troupe/services/notification v0.0.0
	github.com/troupe-dev/troupe/services/order v0.0.0
	github.com/troupe-dev/troupe/services/payment v0.0.0
	github.com/troupe-dev/troupe/services/query v0.0.0
)

replace (
	github.com/troupe-dev/troupe/pkg => ../../pkg
	github.com/troupe-dev/troupe/schemas => ../../schemas
	github.com/troupe-dev/troupe/services/notification => ../notification
	github.com/troupe-dev/troupe/services/order => ../order
	github.com/troupe-dev/troupe/services/payment => ../payment
	github.com/troupe-dev/troupe/services/query => ../query
)
