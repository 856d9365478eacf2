// Package hold stands between the services and what they stand on (Redis, Kafka, the payment gateway, the mail server), and keeps
// back exactly one call at a chosen place: a process that is killed then dies there, every time. Nothing in the product
// knows of it. Everything else passes.
//
// A run with the playground's own stores, whose addresses must be known before:
//
//	p := hold.NewProxies([]string{"127.0.0.1:20092"}, "127.0.0.1:26379", "127.0.0.1:28090", "127.0.0.1:21025")
//	defer p.Close()
//	for _, process := range []string{"order", "order-2", "payment", …} {
//		env, err := p.Environ(process) // KAFKA_BROKERS=…, REDIS_ADDRS=…, each with a door of its own
//		args = append(args, "--env", process+":"+env[i]) // troupe play --env payment-2:REDIS_ADDRS=…
//	}
//	exec.Command("troupe", "play", "--kafka-port", "20092", "--redis-port", "26379", …, args...)
//
// The stores stay processes of the playground, supervised and killable. Over a real Kafka and redis-server the same flags
// stand beside --kafka-brokers and --redis-addr. Tools (place, check, resend) go to the stores themselves.
//
// A crash point:
//
//	point, err := hold.Find("after-apply")
//	held := point.Arm(p, "payment", hold.Any)
//	died, err := held.Caught(ctx)   // died.Client is the process to kill: payment or payment-2; died.Partition its task
//	control.Do(ctx, died.Client, "kill")
//	held.Drop()                     // or Release: what was on the wire when the process died arrives after all
//
// Be quick: callers have time-outs (3 s for Redis, 15 s for Kafka), after which they try again on another connection. Always end
// a hold by Release or Drop; both also take away one that was not hit. A hold that waits for an answer is armed again by itself
// when the answer does not come, or says that nothing was done.
//
// A point with a First is reached only by who takes over from an instance that died at that other point. Arm both:
//
//	first := hold.Find(point.First); h1 := first.Arm(p, "payment", hold.Any); one := h1.Caught(ctx)
//	h2 := point.Arm(p, "payment", one.Partition)
//	kill(one.Client); h1.Drop()
//	two := h2.Caught(ctx); kill(two.Client); h2.Drop()
//
// Kafka.Fault damages (errors, delays, lost answers, late appends) a share of all requests, drawn from a seed.
package hold
