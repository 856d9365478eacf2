package letters

import "github.com/troupe-dev/troupe/pkg/view"

// chainPage is what a page token of one chain belongs to.
type chainPage struct {
	Chain     string `json:"c"`
	Partition int    `json:"n,omitempty"`
}

// Page returns which letters are on a page of the chain: from first to before last. A token whose letter came out meanwhile goes on
// at the head. Sizes and errors as those of Model.Chains.
func (c Chain) Page(size int, token string) (first, last int, err error) {
	after, err := view.ParsePage(token, chainPage{c.ID(), c.Partition})
	if err != nil {
		return 0, 0, err
	}
	if after != nil {
		first = c.Find(after.ID) + 1
	}
	return first, min(first+view.PageSize(size), len(c.Letters)), nil
}

// PageToken is the token of the page that begins with a letter, not the first.
func (c Chain) PageToken(first int) string {
	return view.EncodePage(view.Cursor{ID: c.Letters[first-1].ID}, chainPage{c.ID(), c.Partition})
}
