// Command asyncapi checks the choreography and prints it as an AsyncAPI 3 document. With -write FILE it writes that file instead.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/troupe-dev/troupe/schemas/choreography"
)

func main() {
	file := flag.String("write", "", "the `file` to write; without it, the document is printed")
	flag.Parse()
	if err := run(*file, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string, out io.Writer) error {
	c, err := choreography.Load()
	if err != nil {
		return err
	}
	if err := errors.Join(c.Check()...); err != nil {
		return err
	}
	text, err := c.AsyncAPI()
	if err != nil {
		return err
	}
	if file == "" {
		_, err := out.Write(text)
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
