package view

import "time"

// Moment is a time in Unix microseconds, UTC. The zero value is no time.
type Moment int64

// At makes a Moment; the zero time gives the zero Moment.
func At(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	return Moment(t.UnixMicro())
}

// Time of the moment; the zero Moment gives the zero time.
func (m Moment) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(m)).UTC()
}
