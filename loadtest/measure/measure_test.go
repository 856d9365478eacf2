package measure

import "testing"

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		figures []float64
		want    Spread
	}{
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{9, 1}, Spread{1, 5, 9}},
		{[]float64{3, 9, 1}, Spread{1, 3, 9}},
		{[]float64{9, 4, 1, 2}, Spread{1, 3, 9}},
	} {
		if got := SpreadOf(c.figures, func(f float64) float64 { return f }); got != c.want {
			t.Errorf("of %v: %v, not %v", c.figures, got, c.want)
		}
	}
}
