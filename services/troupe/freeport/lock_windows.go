package freeport

import "os"

// lockFile locks nothing: the tests that draw ports beside each other do not run here.
func lockFile(*os.File) error { return nil }
