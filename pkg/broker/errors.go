package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// hopeless are the answers that no waiting mends. Every other answer, known or not, and every failure of the network is
// Unavailable: an outage must never look like a bad event. So is a refusal: a grant, a password or a certificate is
// mended at the cluster or in a file, while the service runs.
var hopeless = []kafka.Error{
	kafka.InvalidRecord, kafka.InvalidTimestamp, kafka.InvalidTopic,
	kafka.InvalidRequiredAcks, kafka.InvalidRequest, kafka.UnsupportedVersion, kafka.UnsupportedForMessageFormat,
	kafka.UnsupportedCompressionType, kafka.PolicyViolation, kafka.InvalidPartitionNumber, kafka.InvalidConfiguration,
	kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState, kafka.SecurityDisabled,
	kafka.InvalidGroupId, kafka.InvalidSessionTimeout, kafka.InconsistentGroupProtocol, kafka.OffsetMetadataTooLarge,
	kafka.InvalidCommitOffsetSize,
}

// ErrTooLarge is in the error of a batch that is larger than its topic takes (max.message.bytes).
var ErrTooLarge = errors.New("larger than its topic takes")

// tooLarge are the answers that mean ErrTooLarge.
var tooLarge = []kafka.Error{kafka.MessageSizeTooLarge, kafka.RecordListTooLarge}

// lost are the answers of a group to one who is no longer in it.
var lost = []kafka.Error{kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.FencedInstanceID}

// classify gives an error of kafka-go its class, and says what was being done.
func classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	class := fault.Unavailable
	if code, ok := errors.AsType[kafka.Error](err); ok {
		switch {
		case slices.Contains(tooLarge, code):
			class, err = fault.Permanent, fmt.Errorf("%w: %w", ErrTooLarge, err)
		case slices.Contains(hopeless, code):
			class = fault.Permanent
		case slices.Contains(lost, code):
			class = fault.Conflict
		}
	}
	return fault.New(class, "%s: %w", doing, err)
}

// code is classify for an error code of a response, with the message that came with it; nil for code 0.
func code(doing string, c int16, message string) error {
	if c == 0 {
		return nil
	}
	err := classify(doing, kafka.Error(c))
	if message != "" {
		return fault.New(fault.ClassOf(err), "%w: %s", err, message)
	}
	return err
}

// network is true for a failure to get any answer, or to be let in at all, other than that nobody waits for it any
// more.
func network(err error) bool {
	_, answered := errors.AsType[kafka.Error](err)
	return err != nil && (!answered || errors.Is(err, kafka.SASLAuthenticationFailed)) && !errors.Is(err, context.Canceled)
}

// moved is true for the answers of a broker that does not lead the log (any more).
func moved(c int16) bool {
	switch kafka.Error(c) {
	case kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.UnknownTopicOrPartition, kafka.ReplicaNotAvailable,
		kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch, kafka.UnknownTopicID, kafka.KafkaStorageError:
		return true
	}
	return false
}
