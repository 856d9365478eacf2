package broker

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"errors"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Grant allows a principal one operation on one resource, from any host. Kind and Operation are as Kafka's tools write
// them: topic and group; Read, Write, Create, Describe, DescribeConfigs.
type Grant struct {
	Principal, Kind, Name, Operation string
}

// Allow adds grants to those that there are. It needs the right to alter the cluster.
func (c *Client) Allow(ctx context.Context, grants []Grant) error {
	request := &kafka.CreateACLsRequest{}
	for _, g := range grants {
		acl := kafka.ACLEntry{ResourceName: g.Name, ResourcePatternType: kafka.PatternTypeLiteral,
			Principal: "User:" + g.Principal, Host: "*", PermissionType: kafka.ACLPermissionTypeAllow}
		err := errors.Join(acl.ResourceType.UnmarshalText([]byte(g.Kind)), acl.Operation.UnmarshalText([]byte(g.Operation)))
		if err != nil {
			return fault.As(fault.Invalid, err)
		}
		request.ACLs = append(request.ACLs, acl)
	}
	response, err := c.admin.CreateACLs(ctx, request)
	if err != nil {
		return c.failed("metadata", "add grants", err)
	}
	return classify("add grants", errors.Join(response.Errors...))
}

// scramIterations is what Kafka's own tools use at least (RFC 7677 asks for as many); the work is the broker's, too, at
// each login.
const scramIterations = 8192

// SetPassword makes a user that logs in by SCRAM-SHA-512, or gives it another password. It needs the right to alter the
// cluster. The password does not travel.
func (c *Client) SetPassword(ctx context.Context, user, password string) error {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // it never fails
	salted, err := pbkdf2.Key(sha512.New, password, salt, scramIterations, sha512.Size)
	if err != nil {
		return fault.As(fault.Invalid, err)
	}
	response, err := c.admin.AlterUserScramCredentials(ctx, &kafka.AlterUserScramCredentialsRequest{
		Upsertions: []kafka.UserScramCredentialsUpsertion{{Name: user, Mechanism: kafka.ScramMechanismSha512,
			Iterations: scramIterations, Salt: salt, SaltedPassword: salted}},
	})
	if err != nil {
		return c.failed("metadata", "set the password of "+user, err)
	}
	for _, r := range response.Results {
		if r.Error != nil {
			return classify("set the password of "+user, r.Error)
		}
	}
	return nil
}
