// GoBGP's codec, as measure.py does it: best of so many rounds over the messages of a file, and a digest of the routes.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	rounds, _ := strconv.Atoi(os.Args[2])
	runtime.GOMAXPROCS(1) // one core, as the others
	var messages [][]byte
	for len(data) > 0 {
		size := int(data[16])<<8 | int(data[17])
		messages, data = append(messages, data[:size]), data[size:]
	}
	decoded := make([]*bgp.BGPUpdate, len(messages))
	decode := func(keep bool) {
		for at, message := range messages {
			one, err := bgp.ParseBGPMessage(message)
			if err != nil {
				panic(err)
			}
			if keep {
				decoded[at] = one.Body.(*bgp.BGPUpdate)
			}
		}
	}
	best := func(work func()) float64 {
		fastest := 1e9
		for round := 0; round < rounds; round++ {
			runtime.GC()
			began := time.Now()
			work()
			if took := time.Since(began).Seconds(); took < fastest {
				fastest = took
			}
		}
		return fastest
	}
	seconds := best(func() { decode(false) })
	decode(true)
	encoding := best(func() {
		for _, one := range decoded {
			if _, err := bgp.NewBGPUpdateMessage(nil, one.PathAttributes, one.NLRI).Serialize(); err != nil {
				panic(err)
			}
		}
	})
	var lines []string
	for _, one := range decoded {
		var path []string
		for _, attribute := range one.PathAttributes {
			if found, ok := attribute.(*bgp.PathAttributeAsPath); ok {
				for _, segment := range found.Value {
					for _, number := range segment.GetAS() {
						path = append(path, strconv.Itoa(int(number)))
					}
				}
			}
		}
		for _, prefix := range one.NLRI {
			lines = append(lines, prefix.String()+" "+strings.Join(path, " "))
		}
	}
	sort.Strings(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	answer, _ := json.Marshal(map[string]any{
		"decode": seconds, "encode": encoding, "prefixes": len(lines), "digest": hex.EncodeToString(sum[:])[:16],
	})
	fmt.Println(string(answer))
}
