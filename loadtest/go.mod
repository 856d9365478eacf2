module github.com/troupe-dev/troupe/loadtest

go 1.26.8
