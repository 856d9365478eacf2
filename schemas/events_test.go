package schemas_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/schemas/examples"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// shipped is the descriptor set that readers outside decode with.
func shipped(t *testing.T) *descriptorpb.FileDescriptorSet {
	t.Helper()
	data, err := os.ReadFile("events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestDescriptorSetIsUpToDate(t *testing.T) {
	got := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range shipped(t).GetFile() {
		got[f.GetName()] = f
	}
	for _, f := range compile(t, nil) {
		want := protodesc.ToFileDescriptorProto(f)
		want.SourceCodeInfo = nil
		if diff := cmp.Diff(want, got[f.Path()], protocmp.Transform()); diff != "" {
			t.Errorf("events.binpb is not what the schemas say: run make generate (-want +got):\n%s", diff)
		}
	}
}

// The rule of docs/events.md: ce_type is the full name of the payload's message, and the descriptor set alone is enough to read every
// record ever shipped.
func TestTypeNamesTheMessage(t *testing.T) {
	files, err := protodesc.NewFiles(shipped(t))
	if err != nil {
		t.Fatal(err)
	}
	messages := dynamicpb.NewTypes(files)
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Types() {
		if _, err := messages.FindMessageByName(protoreflect.FullName(name)); err != nil {
			t.Errorf("%s is published and no message of the descriptor set: %v", name, err)
		}
	}
	all, err := examples.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		name := e.Header("ce_type")
		message, err := messages.FindMessageByName(protoreflect.FullName(name))
		if err != nil || !slices.Contains(c.Types(), name) {
			t.Errorf("%s/%d has ce_type %q, which is no event: %v", e.Type, e.N, name, err)
			continue
		}
		got, want := message.New().Interface(), message.New().Interface()
		if err := proto.Unmarshal(e.Wire, got); err != nil {
			t.Errorf("%s/%d: %v", e.Type, e.N, err)
		}
		if err := protojson.Unmarshal(e.Body, want); err != nil {
			t.Errorf("%s/%d: %v", e.Type, e.N, err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || len(got.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("%s/%d means something else (-want +got):\n%s", e.Type, e.N, diff)
		}
	}
}
