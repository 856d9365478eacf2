package broker

import "github.com/segmentio/kafka-go/protocol"

// kafka-go's own heartbeat messages cannot be used: the request does not go to the group's coordinator, and the response
// has its two fields in the wrong order, so that it never shows an error. These take their place in its registry.
func init() { protocol.Register(&heartbeatRequest{}, &heartbeatResponse{}) }

type heartbeatRequest struct {
	GroupID      string `kafka:"min=v0,max=v2"`
	GenerationID int32  `kafka:"min=v0,max=v2"`
	MemberID     string `kafka:"min=v0,max=v2"`
}

func (r *heartbeatRequest) ApiKey() protocol.ApiKey { return protocol.Heartbeat }

// Group makes kafka-go look for the coordinator of the group.
func (r *heartbeatRequest) Group() string { return r.GroupID }

type heartbeatResponse struct {
	ThrottleTimeMs int32 `kafka:"min=v1,max=v2"`
	ErrorCode      int16 `kafka:"min=v0,max=v2"`
}

func (r *heartbeatResponse) ApiKey() protocol.ApiKey { return protocol.Heartbeat }
