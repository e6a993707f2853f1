package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// watch opens a watch --repeat times, one after the other on one connection, reads --events events of each
// and prints how long that took, from the request to the last event, as a JSON list of seconds.
func watch(arguments []string) error {
	set := flag.NewFlagSet("watch", flag.ExitOnError)
	var a access
	a.flags(set)
	url := set.String("url", "", "the watch")
	accept := set.String("accept", "application/json", "representation; framing follows from it")
	events := set.Int("events", 1, "how many to read")
	repeat := set.Int("repeat", 1, "how often")
	save := set.String("save", "", "file for the first watch's bytes")
	limit := set.Duration("timeout", time.Minute, "for one watch")
	set.Parse(arguments)
	client, err := a.client()
	if err != nil {
		return err
	}
	token, err := os.ReadFile(a.tokenFile)
	if err != nil {
		return err
	}
	request, err := http.NewRequest("GET", *url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", *accept)
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))

	seconds := make([]float64, 0, *repeat)
	for number := range *repeat {
		var copy io.Writer = io.Discard
		if number == 0 && *save != "" {
			file, err := os.Create(*save)
			if err != nil {
				return err
			}
			defer file.Close()
			copy = file
		}
		context, cancel := context.WithTimeout(request.Context(), *limit)
		started := time.Now()
		err := readEvents(client, request.WithContext(context), *events, strings.Contains(*accept, "protobuf"), copy)
		seconds = append(seconds, time.Since(started).Seconds())
		cancel()
		if err != nil {
			return fmt.Errorf("watch %d: %w", number, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(seconds)
}

func readEvents(client *http.Client, request *http.Request, count int, framed bool, copy io.Writer) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return fmt.Errorf("%s %s", response.Status, text)
	}
	reader := bufio.NewReaderSize(io.TeeReader(response.Body, copy), 64<<10)
	for number := range count {
		if err := skipEvent(reader, framed); err != nil {
			return fmt.Errorf("after %d of %d events: %w", number, count, err)
		}
	}
	return nil
}

// skipEvent reads one event: a line of JSON, or a protobuf message behind its length in four bytes.
func skipEvent(reader *bufio.Reader, framed bool) error {
	if framed {
		var length uint32
		if err := binary.Read(reader, binary.BigEndian, &length); err != nil {
			return err
		}
		_, err := io.CopyN(io.Discard, reader, int64(length))
		return err
	}
	for {
		_, err := reader.ReadSlice('\n')
		if err != bufio.ErrBufferFull {
			return err
		}
	}
}
