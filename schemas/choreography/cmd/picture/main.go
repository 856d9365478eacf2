// Command picture checks the choreography and prints it as a Mermaid flowchart. With -write FILE it puts the picture into that
// file instead, between the lines <!-- choreography:begin --> and <!-- choreography:end -->.
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
	file := flag.String("write", "", "the Markdown `file` whose picture is drawn again; without it, the picture is printed")
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
	if file == "" {
		_, err := io.WriteString(out, c.Picture())
		return err
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	redrawn, ok := c.Redraw(string(old))
	if !ok {
		return fmt.Errorf("%s: has no lines <!-- choreography:begin --> and <!-- choreography:end -->", file)
	}
	if redrawn == string(old) {
		return nil
	}
	return os.WriteFile(file, []byte(redrawn), 0o644)
}
