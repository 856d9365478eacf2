package letters

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/view"
)

// LetterAt is a letter that waits, and its chain.
type LetterAt struct {
	Chain Chain
	Letter
	// Position in the chain, from 0.
	Position int
}

// chainsAtOnce is how many chains are read in one look-up for a page of letters.
const chainsAtOnce = 25

// lettersFilter is what a page of letters belongs to, and Letter how far it is in the chain after its cursor.
type lettersFilter struct {
	Waiting
	HeadOnly bool `json:"h,omitempty"`
}

type lettersToken struct {
	lettersFilter
	Letter string `json:"l,omitempty"`
}

// Letters returns one page of the letters that wait, chain by chain, those that wait longest first, and the token of the next
// page. headOnly: the first of each chain alone. Sizes and errors as those of List.
func (m *Model) Letters(ctx context.Context, f Waiting, headOnly bool, size int, token string) (page []LetterAt, next string, err error) {
	filter := lettersFilter{f, headOnly}
	after, shown, err := parseLettersPage(token, filter)
	if err != nil {
		return nil, "", err
	}
	size = view.PageSize(size)
	for {
		chains, err := m.Chains(ctx, f, after, chainsAtOnce)
		if err != nil {
			return nil, "", err
		}
		for _, c := range chains {
			letters := c.Letters
			if headOnly {
				letters = letters[:min(1, len(letters))]
			}
			for i := c.Find(shown) + 1; i < len(letters); i++ {
				if len(page) == size {
					return page, encodeLettersPage(after, lettersToken{filter, shown}), nil
				}
				shown = letters[i].ID
				page = append(page, LetterAt{c.Chain, letters[i], i})
			}
			after, shown = &c.Place, ""
		}
		if len(chains) < chainsAtOnce {
			return page, "", nil
		}
	}
}

func encodeLettersPage(after *view.Cursor, t lettersToken) string {
	at := view.Cursor{ID: "-"} // before the first chain
	if after != nil {
		at = *after
	}
	return view.EncodePage(at, t)
}

func parseLettersPage(token string, f lettersFilter) (after *view.Cursor, shown string, err error) {
	if token == "" {
		return nil, "", nil
	}
	t, err := view.DecodePage[lettersToken](token)
	if err == nil && t.Filter.lettersFilter != f {
		err = view.ErrOtherList
	}
	if err == nil && t.ID != "-" {
		after = &t.Cursor
	}
	return after, t.Filter.Letter, err
}
