// Package junit writes results in the form that CI servers read.
package junit

import (
	"encoding/xml"
	"os"
)

// Suite is a file of them. Tests and Failures are counted by Write.
type Suite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Time     float64  `xml:"time,attr"` // seconds
	Cases    []Case   `xml:"testcase"`
}

// Case is one result; it passed when Failure is nil.
type Case struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    float64  `xml:"time,attr,omitempty"` // seconds
	Failure *Failure `xml:"failure"`
}

// Failure says why in a line, and in full.
type Failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Write writes the suite to a file.
func (s Suite) Write(file string) error {
	s.Tests = len(s.Cases)
	for _, c := range s.Cases {
		if c.Failure != nil {
			s.Failures++
		}
	}
	raw, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte(xml.Header), append(raw, '\n')...), 0o644)
}
