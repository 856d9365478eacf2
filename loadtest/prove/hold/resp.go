package hold

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// maxFrame bounds one command, answer or request (512 MiB is the most that Redis takes in one string).
const maxFrame = 512 << 20

// appendFrame appends one whole RESP2 or RESP3 value, as it is on the wire. It reads byte counts, not contents.
func appendFrame(frame []byte, r *bufio.Reader) ([]byte, error) {
	for left := 1; left > 0; left-- {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return frame, err
		}
		frame = append(frame, line...)
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return frame, fmt.Errorf("an empty line is no RESP value")
		}
		n := -1
		switch line[0] {
		case '$', '=', '!', '*', '%', '~', '>', '|':
			if n, err = strconv.Atoi(string(line[1:])); err != nil || n > maxFrame {
				return frame, fmt.Errorf("RESP length %q", line)
			}
		}
		if n < 0 { // nothing follows: the value is in the line, or RESP2's nil
			continue
		}
		switch line[0] {
		case '$', '=', '!':
			at := len(frame)
			frame = append(frame, make([]byte, n+2)...)
			if _, err := io.ReadFull(r, frame[at:]); err != nil {
				return frame, err
			}
		case '*', '~', '>':
			left += n
		case '%':
			left += 2 * n
		case '|':
			left += 2*n + 1 // attributes come before the value that they are about
		}
	}
	return frame, nil
}

// arguments takes an array of bulk strings apart, as commands are.
func arguments(frame []byte) []string {
	var args []string
	_, rest, _ := bytes.Cut(frame, []byte("\r\n"))
	for len(rest) > 0 {
		var head []byte
		head, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		n, err := strconv.Atoi(string(bytes.TrimPrefix(head, []byte("$"))))
		if err != nil || n < 0 || n+2 > len(rest) {
			return args
		}
		args = append(args, string(rest[:n]))
		rest = rest[n+2:]
	}
	return args
}
