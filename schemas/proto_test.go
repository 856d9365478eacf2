package schemas_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const module = "github.com/troupe-dev/troupe/schemas/gen"

// protoFiles returns the paths of the event schemas below proto/, sorted.
func protoFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS("proto"), ".", func(name string, _ fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".proto" {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("%d schemas: %v", len(names), err)
	}
	return names
}

// compile compiles the schemas after an edit of their text; nil leaves them as they are.
func compile(t *testing.T, edit func(text string) string) []protoreflect.FileDescriptor {
	t.Helper()
	texts := map[string]string{}
	for _, name := range protoFiles(t) {
		text, err := os.ReadFile(filepath.Join("proto", name))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
		if edit != nil {
			texts[name] = edit(texts[name])
		}
	}
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(texts)}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := c.Compile(t.Context(), protoFiles(t)...)
	if err != nil {
		t.Fatal(err)
	}
	files := make([]protoreflect.FileDescriptor, 0, len(compiled))
	for _, f := range compiled {
		files = append(files, f)
	}
	return files
}

// The generated Go is what the pinned plugin makes of the schemas, byte for byte.
func TestGeneratedGoIsUpToDate(t *testing.T) {
	want := generate(t, compile(t, nil))
	got := map[string]string{}
	err := filepath.WalkDir("gen", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		got[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gen/ is not what the schemas say: run buf generate in schemas (-want +got):\n%s", diff)
	}
}

func generate(t *testing.T, files []protoreflect.FileDescriptor) map[string]string {
	t.Helper()
	request := &pluginpb.CodeGeneratorRequest{Parameter: proto.String("module=" + module)}
	added := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if added[f.Path()] {
			return
		}
		added[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		request.ProtoFile = append(request.ProtoFile, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range files {
		add(f)
		request.FileToGenerate = append(request.FileToGenerate, f.Path())
	}
	in, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	plugin := exec.CommandContext(t.Context(), "go", "tool", "protoc-gen-go")
	var errout bytes.Buffer
	plugin.Stdin, plugin.Stderr = bytes.NewReader(in), &errout
	out, err := plugin.Output()
	if err != nil {
		t.Fatalf("go tool protoc-gen-go: %v\n%s", err, errout.String())
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil || response.Error != nil {
		t.Fatalf("protoc-gen-go: %v %s", err, response.GetError())
	}
	made := map[string]string{}
	for _, f := range response.File {
		made["gen/"+f.GetName()] = f.GetContent()
	}
	return made
}

// baseline is the shape of every event ever shipped. Written by: buf build --exclude-source-info -o baseline.binpb
func baseline(t *testing.T) []protoreflect.FileDescriptor {
	t.Helper()
	data, err := os.ReadFile("baseline.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	registry, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	var files []protoreflect.FileDescriptor
	registry.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(f.Path(), "google/") {
			files = append(files, f)
		}
		return true
	})
	if len(files) == 0 {
		t.Fatal("the baseline is empty")
	}
	return files
}

func TestNothingShippedIsBroken(t *testing.T) {
	for _, found := range breaks(baseline(t), compile(t, nil)) {
		t.Error(found)
	}
}

// What must not pass the gate, and what must.
func TestBreakingChangesAreNoticed(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{"string sku = 1;", "string sku = 9;", "troupe.order.v1.Line.sku: number 1 is gone"},
		{"string sku = 1;", "", "troupe.order.v1.Line.sku: number 1 is gone"},
		{"string sku = 1;", "string article = 1;", "troupe.order.v1.Line.sku: is now article"},
		{"int32 quantity = 3;", "int64 quantity = 3;", "troupe.order.v1.Line.quantity: was int32, is int64"},
		{"bytes body_hash = 8;", "repeated bytes body_hash = 8;", "troupe.order.v1.OrderPlaced.body_hash: was optional, is repeated"},
		{"Timestamp placed_at = 9;", "Duration placed_at = 9;", "troupe.order.v1.OrderPlaced.placed_at: was google.protobuf.Timestamp, is google.protobuf.Duration"},
		{"KIND_REFUNDED = 3;", "", "troupe.notification.v1.KIND_REFUNDED: number 3 is gone"},
		{"KIND_REFUNDED = 3;", "KIND_REPAID = 3;", "troupe.notification.v1.KIND_REFUNDED: is now KIND_REPAID"},
		{"message PaymentDeclined {", "message PaymentRefused {", "troupe.payment.v1.PaymentDeclined is gone"},
		{"string refund_id = 1;", "string refund_id = 1; string note = 9;", ""},
	} {
		t.Run(tc.old+" "+tc.new, func(t *testing.T) {
			edited := false
			got := breaks(baseline(t), compile(t, func(text string) string {
				edited = edited || strings.Contains(text, tc.old)
				text = strings.Replace(text, `import "google/protobuf/timestamp.proto";`,
					`import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";`, 1)
				return strings.Replace(text, tc.old, tc.new, 1)
			}))
			if !edited {
				t.Fatalf("%q is not in the schemas", tc.old)
			}
			if want := tc.want; want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// breaks returns what today's schemas no longer have or mean differently. Adding is allowed. It asks what matters to records in the
// log and needs nothing but Go; buf breaking asks more, where buf is at hand.
func breaks(old, today []protoreflect.FileDescriptor) (found []string) {
	now := map[protoreflect.FullName]protoreflect.Descriptor{}
	for _, f := range today {
		for _, d := range declared(f) {
			now[d.FullName()] = d
		}
	}
	for _, f := range old {
		for _, was := range declared(f) {
			switch was := was.(type) {
			case protoreflect.MessageDescriptor:
				if is, ok := now[was.FullName()].(protoreflect.MessageDescriptor); ok {
					found = append(found, brokenFields(was, is)...)
					continue
				}
			case protoreflect.EnumDescriptor:
				if is, ok := now[was.FullName()].(protoreflect.EnumDescriptor); ok {
					found = append(found, brokenValues(was, is)...)
					continue
				}
			}
			found = append(found, string(was.FullName())+" is gone")
		}
	}
	return found
}

// declared are the messages and enums at the top of a file: no event declares others inside, as TestEventsAreFlat insists.
func declared(f protoreflect.FileDescriptor) (all []protoreflect.Descriptor) {
	for i := range f.Messages().Len() {
		all = append(all, f.Messages().Get(i))
	}
	for i := range f.Enums().Len() {
		all = append(all, f.Enums().Get(i))
	}
	return all
}

func TestEventsAreFlat(t *testing.T) {
	for _, f := range compile(t, nil) {
		for i := range f.Messages().Len() {
			if m := f.Messages().Get(i); m.Messages().Len()+m.Enums().Len() > 0 {
				t.Errorf("%s declares messages or enums inside; the gate does not look there", m.FullName())
			}
		}
	}
}

func brokenFields(was, is protoreflect.MessageDescriptor) (found []string) {
	for i := range was.Fields().Len() {
		before := was.Fields().Get(i)
		after := is.Fields().ByNumber(before.Number())
		switch {
		case after == nil:
			found = append(found, fmt.Sprintf("%s: number %d is gone", before.FullName(), before.Number()))
		case after.Name() != before.Name():
			found = append(found, fmt.Sprintf("%s: is now %s", before.FullName(), after.Name()))
		case kind(after) != kind(before):
			found = append(found, fmt.Sprintf("%s: was %s, is %s", before.FullName(), kind(before), kind(after)))
		case after.Cardinality() != before.Cardinality():
			found = append(found, fmt.Sprintf("%s: was %s, is %s", before.FullName(), before.Cardinality(), after.Cardinality()))
		}
	}
	return found
}

func kind(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func brokenValues(was, is protoreflect.EnumDescriptor) (found []string) {
	for i := range was.Values().Len() {
		before := was.Values().Get(i)
		switch after := is.Values().ByNumber(before.Number()); {
		case after == nil:
			found = append(found, fmt.Sprintf("%s: number %d is gone", before.FullName(), before.Number()))
		case after.Name() != before.Name():
			found = append(found, fmt.Sprintf("%s: is now %s", before.FullName(), after.Name()))
		}
	}
	return found
}
