// The unmodified Go client behind the line protocol of the Java probe (see ../java/Probe.java).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type args map[string]string

func (a args) text(key, otherwise string) string {
	if v, ok := a[key]; ok {
		return v
	}
	return otherwise
}

func (a args) number(key string, otherwise int) int {
	if v, ok := a[key]; ok {
		n, _ := strconv.Atoi(v)
		return n
	}
	return otherwise
}

var (
	namesrv   string
	outLock   sync.Mutex
	lock      sync.Mutex
	producers = map[string]rocketmq.Producer{}
	consumers = map[string]interface{ Shutdown() error }{}
)

func print(value map[string]interface{}) {
	line, _ := json.Marshal(value)
	outLock.Lock()
	defer outLock.Unlock()
	fmt.Println(string(line))
}

func main() {
	namesrv = os.Args[1]
	rlog.SetLogLevel("error")
	rlog.SetOutputPath(os.DevNull)
	print(map[string]interface{}{"event": "ready"})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	for in.Scan() {
		parts := strings.Split(in.Text(), "\t")
		a := args{}
		for _, p := range parts[2:] {
			eq := strings.Index(p, "=")
			a[p[:eq]] = p[eq+1:]
		}
		go func() {
			id, _ := strconv.Atoi(parts[0])
			if err := run(parts[1], a); err != nil {
				print(map[string]interface{}{"id": id, "ok": false, "error": err.Error()})
				return
			}
			print(map[string]interface{}{"id": id, "ok": true})
		}()
	}
}

func run(op string, a args) error {
	switch op {
	case "send":
		return send(a)
	case "subscribe":
		return subscribe(a)
	case "unsubscribe":
		lock.Lock()
		c := consumers[a["consumer"]]
		delete(consumers, a["consumer"])
		lock.Unlock()
		return c.Shutdown()
	}
	return fmt.Errorf("unknown op %s", op)
}

type byKey struct{}

func (byKey) Select(m *primitive.Message, queues []*primitive.MessageQueue, _ string) *primitive.MessageQueue {
	n, _ := strconv.Atoi(m.GetShardingKey())
	return queues[n%len(queues)]
}

func traceConfig(group string) *primitive.TraceConfig {
	return &primitive.TraceConfig{GroupName: group, Access: primitive.Local, Resolver: primitive.NewPassthroughResolver([]string{namesrv})}
}

func theProducer(ordered bool, a args) (rocketmq.Producer, error) {
	lock.Lock()
	defer lock.Unlock()
	name := fmt.Sprintf("probe-go-%v%v%v", ordered, a["trace"], a["namespace"])
	if p, ok := producers[name]; ok {
		return p, nil
	}
	options := []producer.Option{
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{namesrv})), producer.WithGroupName(name), producer.WithInstanceName(name), producer.WithRetry(2),
	}
	if ordered {
		options = append(options, producer.WithQueueSelector(byKey{}))
	}
	if a["trace"] != "" {
		options = append(options, producer.WithTrace(traceConfig(name)))
	}
	if a["namespace"] != "" {
		options = append(options, producer.WithNamespace(a["namespace"]))
	}
	p, err := rocketmq.NewProducer(options...)
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		return nil, err
	}
	producers[name] = p
	return p, nil
}

// Of four messages in a row the first commits, the second rolls back, and of the other two the broker has to ask.
type transactions struct{}

func number(body []byte) int {
	text := string(body)
	n, _ := strconv.Atoi(text[strings.LastIndex(text, "-")+1:])
	return n % 4
}

func (transactions) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	return []primitive.LocalTransactionState{primitive.CommitMessageState, primitive.RollbackMessageState, primitive.UnknowState, primitive.UnknowState}[number(m.Body)]
}

func (transactions) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	if number(m.Body) == 2 {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func sendInTransaction(a args) error {
	p, err := rocketmq.NewTransactionProducer(transactions{},
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{namesrv})), producer.WithGroupName(a["group"]), producer.WithInstanceName(a["group"]))
	if err == nil {
		err = p.Start()
	}
	for i := 0; err == nil && i < a.number("count", 1); i++ {
		_, err = p.SendMessageInTransaction(context.Background(), primitive.NewMessage(a["topic"], []byte(fmt.Sprintf("%s-%d", a["prefix"], i))))
	}
	return err
}

func send(a args) error {
	mode := a.text("mode", "sync")
	if mode == "transaction" {
		return sendInTransaction(a)
	}
	p, err := theProducer(mode == "ordered", a)
	if err != nil {
		return err
	}
	count := a.number("count", 1)
	var messages []*primitive.Message
	for i := 0; i < count; i++ {
		body := fmt.Sprintf("%s-%d", a.text("prefix", "m"), i)
		if pad := a.number("size", 0) - len(body); pad > 0 {
			body += strings.Repeat(".", pad)
		}
		m := primitive.NewMessage(a["topic"], []byte(body))
		if tag := a["tag"]; tag != "" {
			m.WithTag(tag)
		}
		if key := a["key"]; key != "" {
			m.WithKeys([]string{key})
		}
		if properties := a["properties"]; properties != "" {
			for _, pair := range strings.Split(properties, ",") {
				name, value, _ := strings.Cut(pair, ":")
				m.WithProperty(name, value)
			}
		}
		if ms := a.number("delayMs", 0); ms > 0 {
			m.WithProperty("TIMER_DELAY_MS", strconv.Itoa(ms))
		}
		if ms := a.number("deliverInMs", 0); ms > 0 {
			m.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(time.Now().UnixMilli()+int64(ms), 10))
		}
		if level := a.number("delayLevel", 0); level > 0 {
			m.WithDelayTimeLevel(level)
		}
		if mode == "ordered" {
			m.WithShardingKey(strconv.Itoa(i % a.number("keys", 3)))
		}
		messages = append(messages, m)
	}
	ctx := context.Background()
	switch mode {
	case "batch":
		_, err = p.SendSync(ctx, messages...)
		return err
	case "oneway":
		for _, m := range messages {
			if err := p.SendOneWay(ctx, m); err != nil {
				return err
			}
		}
		return nil
	case "request":
		for _, m := range messages {
			reply, err := p.Request(ctx, 30*time.Second, m)
			if err != nil {
				return err
			}
			if wanted := "reply to " + string(m.Body); string(reply.Body) != wanted {
				return fmt.Errorf("%s instead of %s", reply.Body, wanted)
			}
		}
		return nil
	case "async":
		var wait sync.WaitGroup
		wait.Add(count)
		var failure error
		for _, m := range messages {
			err := p.SendAsync(ctx, func(_ context.Context, _ *primitive.SendResult, err error) {
				if err != nil {
					failure = err
				}
				wait.Done()
			}, m)
			if err != nil {
				return err
			}
		}
		wait.Wait()
		return failure
	}
	for _, m := range messages {
		r, err := p.SendSync(ctx, m)
		if err != nil {
			return err
		}
		if r.Status != primitive.SendOK {
			return fmt.Errorf("status %d", r.Status)
		}
	}
	return nil
}

func report(name string, m *primitive.MessageExt, ok bool) {
	print(map[string]interface{}{
		"event": "message", "consumer": name, "body": string(m.Body), "topic": m.Topic, "tag": m.GetTags(), "keys": m.GetKeys(),
		"queueId": m.Queue.QueueId, "queueOffset": m.QueueOffset, "reconsumeTimes": m.ReconsumeTimes, "ok": ok,
	})
}

func isOpen(name string) bool {
	lock.Lock()
	defer lock.Unlock()
	return consumers[name] != nil
}

// The client's pull consumer: Poll with a group's share of the queues, or PullFrom with queues and offsets of one's own. It has no seek:
// PullFrom is how it reads again.
func pull(a args, mode string) error {
	name := a["consumer"]
	c, err := rocketmq.NewPullConsumer(
		consumer.WithNsResolver(primitive.NewPassthroughResolver([]string{namesrv})), consumer.WithGroupName(a["group"]), consumer.WithInstance(name),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err == nil {
		err = c.Subscribe(a["topic"], consumer.MessageSelector{Type: consumer.TAG, Expression: a.text("expr", "*")})
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	lock.Lock()
	consumers[name] = c
	lock.Unlock()
	ctx := context.Background()
	queues := map[string]*primitive.MessageQueue{}
	if mode == "assign" {
		tool, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{namesrv})))
		if err != nil {
			return err
		}
		found, err := tool.FetchPublishMessageQueues(ctx, a["topic"])
		if err != nil {
			return err
		}
		for _, q := range found {
			queues[q.String()] = q
		}
	}
	fromBegin := func() int {
		count := 0
		for _, q := range queues {
			if result, err := c.PullFrom(ctx, q, 0, 32); err == nil {
				for _, m := range result.GetMessageExts() {
					report(name, m, true)
					count++
				}
			}
		}
		return count
	}
	go func() {
		rewindAfter := a.number("rewindAfter", -1)
		count := 0
		if mode == "assign" {
			if count = fromBegin(); count == rewindAfter {
				fromBegin()
			}
			return
		}
		for isOpen(name) {
			request, err := c.Poll(ctx, time.Second)
			if err != nil {
				continue
			}
			for _, m := range request.GetMsgList() {
				report(name, m, true)
				count++
			}
			queues[request.GetMQ().String()] = request.GetMQ()
			c.ACK(ctx, request, consumer.ConsumeSuccess)
			if count == rewindAfter {
				fromBegin()
			}
		}
	}()
	return nil
}

func subscribe(a args) error {
	name := a["consumer"]
	mode := a.text("mode", "concurrent")
	if mode == "lite" || mode == "assign" {
		return pull(a, mode)
	}
	fail := a.number("fail", 0)
	from := consumer.ConsumeFromFirstOffset
	if a["from"] == "last" {
		from = consumer.ConsumeFromLastOffset
	}
	options := []consumer.Option{
		consumer.WithNsResolver(primitive.NewPassthroughResolver([]string{namesrv})), consumer.WithGroupName(a["group"]), consumer.WithInstance(name),
		consumer.WithConsumeFromWhere(from), consumer.WithConsumerOrder(mode == "orderly"),
	}
	if mode == "broadcast" {
		options = append(options, consumer.WithConsumerModel(consumer.BroadCasting))
	}
	if n := a.number("maxReconsume", -1); n >= 0 {
		options = append(options, consumer.WithMaxReconsumeTimes(int32(n)))
	}
	if a["trace"] != "" {
		options = append(options, consumer.WithTrace(traceConfig(a["group"])))
	}
	if a["namespace"] != "" {
		options = append(options, consumer.WithNamespace(a["namespace"]))
	}
	c, err := rocketmq.NewPushConsumer(options...)
	if err != nil {
		return err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: a.text("expr", "*")}
	if sql, ok := a["sql"]; ok {
		selector = consumer.MessageSelector{Type: consumer.SQL92, Expression: sql}
	}
	seen := map[string]int{}
	err = c.Subscribe(a["topic"], selector, func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		if level, ok := a["retryLevel"]; ok && mode != "orderly" {
			if cc, found := primitive.GetConcurrentlyCtx(ctx); found {
				cc.DelayLevelWhenNextConsume, _ = strconv.Atoi(level)
			}
		}
		for _, m := range messages {
			lock.Lock()
			seen[string(m.Body)]++
			ok := fail >= 0 && seen[string(m.Body)] > fail
			lock.Unlock()
			report(name, m, ok)
			if ok && a["reply"] != "" {
				reply, err := consumer.CreateReplyMessage(m, []byte("reply to "+string(m.Body)))
				var p rocketmq.Producer
				if err == nil {
					// CreateReplyMessage of 2.1.2 takes the body for properties and leaves the reply without one.
					reply.Body = []byte("reply to " + string(m.Body))
					p, err = theProducer(false, args{})
				}
				if err == nil {
					_, err = p.SendSync(ctx, reply)
				}
				if err != nil {
					return consumer.ConsumeRetryLater, err
				}
			}
			if !ok {
				if mode == "orderly" {
					return consumer.SuspendCurrentQueueAMoment, nil
				}
				return consumer.ConsumeRetryLater, nil
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	lock.Lock()
	consumers[name] = c
	lock.Unlock()
	return nil
}
