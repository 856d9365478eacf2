package measure

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// ticksPerSecond is the unit of processor time in /proc/PID/stat on Linux (sysconf _SC_CLK_TCK, 100 on every platform
// Go runs on).
const ticksPerSecond = 100

// Usage returns the processor time that processes have used and their resident memory in bytes, all together. It reads
// /proc, so it works on Linux alone.
func Usage(pids ...int) (processor time.Duration, memory int64, err error) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, err
		}
		// proc(5): after the command's name in parentheses, fields 14 and 15 are utime and stime, 24 is the resident set
		// in pages.
		var user, system, pages int64
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 22 {
			return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
		}
		if _, err := fmt.Sscan(f[11]+" "+f[12]+" "+f[21], &user, &system, &pages); err != nil {
			return 0, 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		processor += time.Duration(user+system) * time.Second / ticksPerSecond
		memory += pages * int64(os.Getpagesize())
	}
	return processor, memory, nil
}
