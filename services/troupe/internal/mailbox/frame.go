package mailbox

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A frame of the log is its length and CRC-32C (4 bytes each, big-endian), then the message as JSON, a line feed, and the content.
const (
	frameHead = 8
	// maxFrame is more than any frame can have: the content is bounded by the door, the JSON by line lengths and recipients.
	maxFrame = maxMessageBytes + 256<<10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func writeFrame(out *bytes.Buffer, head, raw []byte) {
	sum := crc32.New(castagnoli)
	for _, part := range [][]byte{head, {'\n'}, raw} {
		_, _ = sum.Write(part) // a hash never fails
	}
	out.Grow(frameHead + len(head) + 1 + len(raw))
	b := binary.BigEndian.AppendUint32(nil, uint32(len(head)+1+len(raw)))
	out.Write(binary.BigEndian.AppendUint32(b, sum.Sum32()))
	out.Write(head)
	out.WriteByte('\n')
	out.Write(raw)
}

// errTorn is a frame that was not written to its end.
var errTorn = errors.New("not written to its end")

// read fills the store from its log and returns how many bytes of a torn frame follow its end.
func (s *store) read(file *os.File) (torn int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	r := bufio.NewReaderSize(io.NewSectionReader(file, 0, size), 1<<20)
	for s.end < size {
		m, n, err := readFrame(r, size-s.end)
		if errors.Is(err, errTorn) {
			return size - s.end, nil
		}
		if err == nil && m.ID != int64(len(s.messages))+1 {
			err = fmt.Errorf("mail %d where %d is next", m.ID, len(s.messages)+1)
		}
		if err != nil {
			return 0, fmt.Errorf("damaged at byte %d: %w", s.end, err)
		}
		m.at = s.end + n - int64(m.Size)
		s.messages = append(s.messages, m)
		s.end += n
	}
	return 0, nil
}

// readFrame reads one frame of at most left bytes, and says how many it has.
func readFrame(r *bufio.Reader, left int64) (Message, int64, error) {
	var m Message
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return m, 0, tornAtEnd(err)
	}
	length := int64(binary.BigEndian.Uint32(head))
	if length == 0 || length > maxFrame {
		if zeros(head, r) { // a file system may have grown the file before its content
			return m, 0, errTorn
		}
		return m, 0, fmt.Errorf("a frame cannot have %d bytes", length)
	}
	if frameHead+length > left {
		return m, 0, errTorn
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return m, 0, tornAtEnd(err)
	}
	if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		if frameHead+length == left {
			return m, 0, errTorn
		}
		return m, 0, errors.New("checksum does not match")
	}
	text, raw, ok := bytes.Cut(payload, []byte{'\n'})
	if !ok {
		return m, 0, errors.New("no content")
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, 0, err
	}
	if m.Size != len(raw) {
		return m, 0, fmt.Errorf("mail of %d bytes where %d are said", len(raw), m.Size)
	}
	return m, frameHead + length, nil
}

func tornAtEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

// zeros says whether head and all that follows is zero.
func zeros(head []byte, r *bufio.Reader) bool {
	for _, b := range head {
		if b != 0 {
			return false
		}
	}
	for {
		switch b, err := r.ReadByte(); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil || b != 0:
			return false
		}
	}
}
