package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Every Metric of names.go must be a name that the SDK takes, stand there once, and say what it is.
func TestEveryMetricNameIsValidAndUnique(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	meter := sdkmetric.NewMeterProvider().Meter("test")
	seen := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) != 3 {
			return true
		}
		if id, ok := lit.Type.(*ast.Ident); !ok || id.Name != "Metric" {
			return true
		}
		var v [3]string
		for i, e := range lit.Elts {
			v[i] = text(e)
		}
		if _, err := meter.Int64Counter(v[0]); err != nil {
			t.Errorf("%s: %v", v[0], err)
		}
		if seen[v[0]] {
			t.Errorf("%s stands twice", v[0])
		}
		seen[v[0]] = true
		if v[1] == "" || !strings.HasSuffix(v[2], ".") {
			t.Errorf("%s needs a unit and a sentence: %q", v[0], v[1:])
		}
		return true
	})
	if len(seen) < 20 {
		t.Errorf("found only %d metrics in names.go: %v", len(seen), seen)
	}
}

// text is that of a string, which may be broken into lines.
func text(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		return text(sum.X) + text(sum.Y)
	}
	return strings.Trim(e.(*ast.BasicLit).Value, `"`)
}

func TestABadNameIsReported(t *testing.T) {
	var got error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { got = err }))
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider())
	defer otel.SetMeterProvider(before)
	Metric{"9 lives", "1", "A bad name."}.Counter().Add(t.Context(), 1)
	if got == nil {
		t.Error("a bad name was not reported")
	}
}
