package access_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// attempt is one operation on a resource, tried so that it changes nothing where it is allowed: what is answered is the
// code for the resource.
type attempt struct {
	kind, operation string
	refused         int16
	try             func(ctx context.Context, c *kgo.Client, name string) (int16, error)
}

var (
	topicRefused   = kerr.TopicAuthorizationFailed.Code
	groupRefused   = kerr.GroupAuthorizationFailed.Code
	clusterRefused = kerr.ClusterAuthorizationFailed.Code
)

// ask sends a request to the one broker there is, and has code read its answer.
func ask[R kmsg.Response](r kmsg.Request, code func(R) int16) func(context.Context, *kgo.Client) (int16, error) {
	return func(ctx context.Context, c *kgo.Client) (int16, error) {
		answer, err := c.Broker(1).RetriableRequest(ctx, r)
		if err != nil {
			return 0, err
		}
		return code(answer.(R)), nil
	}
}

// attempts are the operations that Kafka knows of topics, groups, transactions and the cluster, but for those of brokers
// among themselves (ClusterAction). Delegation tokens and users of quotas are administered by Alter on the cluster.
var attempts = []attempt{
	{"topic", "Read", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrFetchRequest()
		r.Version, r.SessionID, r.SessionEpoch, r.MaxBytes = 11, -1, -1, 1
		r.Topics = []kmsg.FetchRequestTopic{{Topic: name,
			Partitions: []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}}}
		return ask(r, func(a *kmsg.FetchResponse) int16 { return a.Topics[0].Partitions[0].ErrorCode })(ctx, c)
	}},
	{"topic", "Write", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrProduceRequest()
		r.Version, r.Acks, r.TimeoutMillis = 8, -1, 1000
		r.Topics = []kmsg.ProduceRequestTopic{{Topic: name, Partitions: []kmsg.ProduceRequestTopicPartition{
			{Partition: 99, Records: batch()}}}} // there is no such partition
		return ask(r, func(a *kmsg.ProduceResponse) int16 { return a.Topics[0].Partitions[0].ErrorCode })(ctx, c)
	}},
	{"topic", "Create", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.ValidateOnly = true
		r.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}
		return ask(r, func(a *kmsg.CreateTopicsResponse) int16 { return a.Topics[0].ErrorCode })(ctx, c)
	}},
	{"topic", "Delete", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.TopicNames, r.Topics = []string{name}, []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
		return ask(r, func(a *kmsg.DeleteTopicsResponse) int16 { return a.Topics[0].ErrorCode })(ctx, c)
	}},
	{"topic", "Alter", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrCreatePartitionsRequest()
		r.ValidateOnly, r.Topics = true, []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 99}}
		return ask(r, func(a *kmsg.CreatePartitionsResponse) int16 { return a.Topics[0].ErrorCode })(ctx, c)
	}},
	{"topic", "Describe", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrMetadataRequest()
		r.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		return ask(r, func(a *kmsg.MetadataResponse) int16 { return a.Topics[0].ErrorCode })(ctx, c)
	}},
	{"topic", "DescribeConfigs", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrDescribeConfigsRequest()
		r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name}}
		return ask(r, func(a *kmsg.DescribeConfigsResponse) int16 { return a.Resources[0].ErrorCode })(ctx, c)
	}},
	{"topic", "AlterConfigs", topicRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		return alterConfigs(kmsg.ConfigResourceTypeTopic, name, "retention.ms")(ctx, c)
	}},
	{"group", "Read", groupRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID = name, "nobody"
		return ask(r, func(a *kmsg.HeartbeatResponse) int16 { return a.ErrorCode })(ctx, c)
	}},
	{"group", "Describe", groupRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{name}
		return ask(r, func(a *kmsg.DescribeGroupsResponse) int16 { return a.Groups[0].ErrorCode })(ctx, c)
	}},
	{"group", "Delete", groupRefused, func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{name}
		return ask(r, func(a *kmsg.DeleteGroupsResponse) int16 { return a.Groups[0].ErrorCode })(ctx, c)
	}},
	{"transactional-id", "Write", kerr.TransactionalIDAuthorizationFailed.Code,
		func(ctx context.Context, c *kgo.Client, name string) (int16, error) {
			r := kmsg.NewPtrInitProducerIDRequest()
			r.TransactionalID, r.TransactionTimeoutMillis = &name, 1000
			return ask(r, func(a *kmsg.InitProducerIDResponse) int16 { return a.ErrorCode })(ctx, c)
		}},
	{"cluster", "Alter", clusterRefused, func(ctx context.Context, c *kgo.Client, _ string) (int16, error) {
		r := kmsg.NewPtrCreateACLsRequest()
		r.Creations = []kmsg.CreateACLsRequestCreation{{ResourceType: kmsg.ACLResourceTypeTopic, ResourceName: "gift",
			ResourcePatternType: kmsg.ACLResourcePatternTypeLiteral, Principal: "User:nobody", Host: "*",
			Operation: kmsg.ACLOperationRead, PermissionType: kmsg.ACLPermissionTypeAllow}}
		return ask(r, func(a *kmsg.CreateACLsResponse) int16 { return a.Results[0].ErrorCode })(ctx, c)
	}},
	{"cluster", "Describe", clusterRefused, func(ctx context.Context, c *kgo.Client, _ string) (int16, error) {
		r := kmsg.NewPtrDescribeACLsRequest()
		r.ResourceType, r.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
		r.Operation, r.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		return ask(r, func(a *kmsg.DescribeACLsResponse) int16 { return a.ErrorCode })(ctx, c)
	}},
	{"cluster", "DescribeConfigs", clusterRefused, func(ctx context.Context, c *kgo.Client, _ string) (int16, error) {
		r := kmsg.NewPtrDescribeConfigsRequest()
		r.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}}
		return ask(r, func(a *kmsg.DescribeConfigsResponse) int16 { return a.Resources[0].ErrorCode })(ctx, c)
	}},
	{"cluster", "AlterConfigs", clusterRefused, func(ctx context.Context, c *kgo.Client, _ string) (int16, error) {
		return alterConfigs(kmsg.ConfigResourceTypeBroker, "1", "log.cleaner.threads")(ctx, c)
	}},
}

// batch is one of one record: Kafka looks at what a batch is before it looks at whose it is.
func batch() []byte {
	record := (&kmsg.Record{Length: 7, Key: []byte("k")}).AppendTo(nil)
	b := (&kmsg.RecordBatch{Magic: 2, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: record,
		Length: int32(49 + len(record))}).AppendTo(nil)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func alterConfigs(kind kmsg.ConfigResourceType, name, setting string) func(context.Context, *kgo.Client) (int16, error) {
	value := "1"
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r.ValidateOnly = true
	r.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: setting, Value: &value}}}}
	return ask(r, func(a *kmsg.IncrementalAlterConfigsResponse) int16 { return a.Resources[0].ErrorCode })
}

// wrong names what a user may do that is not generated, or may not that is: everybody tries everything. It also names each
// rule of Kafka's that is not generated, since no attempt meets one for a user, a name or an operation that is not tried.
func (s secured) wrong(t *testing.T) (wrong []string) {
	t.Helper()
	resources := map[string][]string{"group": append(s.choreography.Names(), "stranger"),
		"topic": {"stranger.events.v1"}, "transactional-id": {"stranger"}, "cluster": {"kafka-cluster"}}
	may := map[choreography.Grant]bool{}
	for _, name := range s.choreography.Names() {
		for _, topic := range s.choreography.OwnTopics(name, 0) {
			resources["topic"] = append(resources["topic"], topic.Name)
		}
	}
	for _, r := range s.choreography.Readers {
		resources["topic"] = append(resources["topic"], r.Shows...)
	}
	for _, g := range s.choreography.Grants() {
		may[g] = true
		if g.Operation == "Read" || g.Operation == "Write" {
			g.Operation = "Describe"
			may[g] = true
		}
	}
	tried, granted := 0, 0
	for _, name := range append(s.choreography.Names(), choreography.Provisioner) {
		user := choreography.Principal(name)
		c := s.client(t, user)
		for _, a := range attempts {
			for _, on := range resources[a.kind] {
				code, err := a.try(t.Context(), c, on)
				if err != nil {
					t.Fatalf("%s tries %s of %s %s: %v", user, a.operation, a.kind, on, err)
				}
				tried++
				want := may[choreography.Grant{Principal: user, Kind: a.kind, Name: on, Operation: a.operation}]
				if want {
					granted++
				}
				if allowed := code != a.refused; allowed != want {
					wrong = append(wrong, fmt.Sprintf("%s: %s of %s %s: allowed %t, want %t (%v)", user, a.operation, a.kind, on, allowed, want,
						kerr.ErrorForCode(code)))
				}
			}
		}
	}
	if granted != len(may) {
		t.Errorf("%d of %d grants were tried", granted, len(may))
	}
	t.Logf("%d attempts, %d of them granted", tried, granted)
	if !slices.Contains(resources["topic"], "order.events.v1") {
		t.Error("the topics of the choreography were not tried")
	}
	generated := map[string]bool{}
	for _, g := range s.choreography.Grants() {
		generated[rule(t, g)] = true
	}
	for _, r := range s.rules(t) {
		if !generated[r] {
			wrong = append(wrong, "a rule that is not generated: "+r)
		}
	}
	return wrong
}

// rules are those that Kafka has.
func (s secured) rules(t *testing.T) (rules []string) {
	t.Helper()
	r := kmsg.NewPtrDescribeACLsRequest()
	r.ResourceType, r.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	r.Operation, r.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	a, err := r.RequestWith(t.Context(), s.client(t, ""))
	if err = errors.Join(err, kerr.ErrorForCode(a.ErrorCode)); err != nil {
		t.Fatal(err)
	}
	for _, on := range a.Resources {
		for _, acl := range on.ACLs {
			rules = append(rules, fmt.Sprint(acl.PermissionType, " ", acl.Principal, " at ", acl.Host, ": ", acl.Operation, " of ",
				on.ResourceType, " ", on.ResourcePatternType, " ", on.ResourceName))
		}
	}
	return rules
}

// rule is a grant as rules has it.
func rule(t *testing.T, g choreography.Grant) string {
	t.Helper()
	operation, err := kmsg.ParseACLOperation(g.Operation)
	kind, kerr := kmsg.ParseACLResourceType(g.Kind)
	if err = errors.Join(err, kerr); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("ALLOW User:", g.Principal, " at *: ", operation, " of ", kind, " LITERAL ", g.Name)
}

func TestEverybodyMayDoAtKafkaWhatIsGrantedAndNothingElse(t *testing.T) {
	for _, wrong := range prepared(t).wrong(t) {
		t.Error(wrong)
	}
}

// The control of that test: grants that are not generated.
func TestAWrongGrantIsFound(t *testing.T) {
	s := prepared(t)
	admin, err := broker.Open(broker.Config{Brokers: []string{s.open}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	planted := map[broker.Grant]string{
		{Principal: "payment", Kind: "topic", Name: "order.events.v1", Operation: "Write"}: "payment: Write of topic order.events.v1: allowed true",
		{Principal: "payment", Kind: "group", Name: "order", Operation: "Read"}:            "payment: Read of group order: allowed true",
		{Principal: "query", Kind: "topic", Name: "*", Operation: "Read"}:                  "query: Read of topic order.redrive.v1: allowed true",
		{Principal: "payment", Kind: "cluster", Name: "kafka-cluster", Operation: "ClusterAction"}: "a rule that is not generated: " +
			"ALLOW User:payment at *: CLUSTER_ACTION of CLUSTER LITERAL kafka-cluster",
		{Principal: "shipping", Kind: "topic", Name: "order.events.v1", Operation: "Read"}: "a rule that is not generated: " +
			"ALLOW User:shipping at *: READ of TOPIC LITERAL order.events.v1",
	}
	gone := kmsg.NewPtrDeleteACLsRequest()
	for g := range planted {
		name, user := g.Name, "User:"+g.Principal
		filter := kmsg.DeleteACLsRequestFilter{ResourceName: &name, ResourcePatternType: kmsg.ACLResourcePatternTypeLiteral,
			Principal: &user, PermissionType: kmsg.ACLPermissionTypeAllow}
		if err := errors.Join(filter.ResourceType.UnmarshalText([]byte(g.Kind)), filter.Operation.UnmarshalText([]byte(g.Operation))); err != nil {
			t.Fatal(err)
		}
		gone.Filters = append(gone.Filters, filter)
	}
	if err := admin.Allow(t.Context(), slices.Collect(maps.Keys(planted))); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(s.wrong(t), "\n")
	for grant, want := range planted {
		if !strings.Contains(said, want) {
			t.Errorf("%+v is not found, in:\n%s", grant, said)
		}
	}
	if a, err := gone.RequestWith(t.Context(), s.client(t, "")); err != nil || len(a.Results) != len(planted) {
		t.Fatalf("take the grants away: %+v, %v", a, err)
	}
	for _, wrong := range s.wrong(t) {
		t.Error(wrong)
	}
}
