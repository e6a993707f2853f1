package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// fill creates count objects from a JSON template, in which NAME stands for the object's own name.
func fill(arguments []string) error {
	set := flag.NewFlagSet("fill", flag.ExitOnError)
	var a access
	a.flags(set)
	host := set.String("host", "", "https://host:port")
	path := set.String("path", "", "where to POST")
	template := set.String("template", "", "file with the object")
	count := set.Int("count", 1, "how many")
	parallel := set.Int("parallel", 32, "requests in flight")
	set.Parse(arguments)
	client, err := a.client()
	if err != nil {
		return err
	}
	body, err := os.ReadFile(*template)
	if err != nil {
		return err
	}

	var next atomic.Int64
	var group sync.WaitGroup
	failures := make(chan error, *parallel)
	for range *parallel {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				number := next.Add(1) - 1
				if number >= int64(*count) {
					return
				}
				object := strings.ReplaceAll(string(body), "NAME", fmt.Sprintf("item-%05d", number))
				if err := create(client, *host+*path, object); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	group.Wait()
	close(failures)
	return <-failures
}

func create(client *http.Client, url, object string) error {
	request, err := http.NewRequest("POST", url, strings.NewReader(object))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusConflict {
		return fmt.Errorf("POST %s: %s %.300s", url, response.Status, answer)
	}
	return nil
}
