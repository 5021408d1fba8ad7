// Bench measures two builds of the programs beside each other, in private
// homes without root, on the disk that -work names.
//
// Usage: bench [-ref DIR] [-work DIR] [-reps N] [-n N] [-only FIGURE,…] DIR
//
// DIR holds the programs that are judged, and -ref those that they are
// compared with. The runs of the two alternate. The table has the medians, the
// lowest and the highest value, and the ratio of the medians. Every figure that
// moves mail waits until all of it has arrived and fails if a message is
// missing or comes twice. As root it works under an unprivileged uid, which must
// be able to reach the work directory. Exit codes: 0, 1 if a figure failed, 2
// for wrong arguments.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

type options struct {
	work     string
	reps     int
	messages int
}

func main() {
	var o options
	ref := flag.String("ref", "", "programs to compare with")
	only := flag.String("only", "", "figures to take, with commas between them")
	flag.StringVar(&o.work, "work", os.TempDir(), "where the homes lie: a real disk, for a tmpfs makes every sync free")
	flag.IntVar(&o.reps, "reps", 3, "runs of each figure")
	flag.IntVar(&o.messages, "n", 1000, "messages of a run")
	flag.Parse()
	if flag.NArg() != 1 || o.reps < 1 || o.messages < 1 {
		flag.Usage()
		os.Exit(2)
	}
	builds := []string{flag.Arg(0)}
	if *ref != "" {
		builds = append(builds, *ref)
	}
	if os.Geteuid() == 0 {
		if err := o.unprivileged(builds, *only); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if !o.compare(builds, strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })) {
		os.Exit(1)
	}
}

// unprivileged runs a copy of this program on copies of the builds under
// another uid, for a private home is an ordinary user's.
func (o options) unprivileged(builds []string, only string) error {
	const nobody = 65534
	work, err := os.MkdirTemp(o.work, "reqmail-bench.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"-work", work, "-reps", strconv.Itoa(o.reps), "-n", strconv.Itoa(o.messages), "-only", only}
	commands := [][]string{{"cp", self, work + "/bench"}}
	for i, build := range builds {
		copied := fmt.Sprintf("%s/bin%d", work, i)
		commands = append(commands, []string{"cp", "-r", build, copied})
		if i > 0 {
			args = append(args, "-ref", copied)
		}
	}
	for _, argv := range append(commands, []string{"chown", "-R", strconv.Itoa(nobody), work}) {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", argv, err, out)
		}
	}
	cmd := exec.Command(work+"/bench", append(args, work+"/bin0")...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = work, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd.Run()
}

// compare takes the figures and prints the table; false if one failed.
func (o options) compare(builds, only []string) bool {
	all := true
	fmt.Printf("%-22s %-8s %28s", "figure", "", "median (lowest, highest)")
	if len(builds) > 1 {
		fmt.Printf(" %28s %6s", "compared with", "ratio")
	}
	fmt.Println()
	for _, f := range figures {
		if len(only) > 0 && !slices.Contains(only, f.name) {
			continue
		}
		values := make([][]float64, len(builds))
		var failure error
		for range o.reps {
			for i, build := range builds {
				value, err := o.once(f, build)
				if err != nil {
					failure = fmt.Errorf("%s: %w", build, err)
				}
				values[i] = append(values[i], value)
			}
		}
		fmt.Printf("%-22s %-8s", f.name, f.unit)
		if failure != nil {
			all = false
			fmt.Println(" failed:", failure)
			continue
		}
		for _, v := range values {
			slices.Sort(v)
			fmt.Printf(" %28s", fmt.Sprintf("%.4g (%.4g, %.4g)", median(v), v[0], v[len(v)-1]))
		}
		if len(values) > 1 {
			fmt.Printf(" %6.2f", median(values[0])/median(values[1]))
		}
		fmt.Println()
	}
	return all
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// once lays out a home, takes a figure there, and removes it.
func (o options) once(f figure, build string) (float64, error) {
	home, err := os.MkdirTemp(o.work, "reqmail-bench.")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(home)
	if err := host.LayOut(home, build); err != nil {
		return 0, err
	}
	r := &run{Host: host.New(home), n: o.messages, patience: host.Patience + time.Duration(o.messages)*50*time.Millisecond}
	defer r.Kill()
	if err := r.AddMailbox(); err != nil {
		return 0, err
	}
	if f.prepare != nil {
		if err := f.prepare(r); err != nil {
			return 0, err
		}
	}
	defer r.close()
	began := time.Now()
	if err := f.take(r); err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	if f.unit == perSecond {
		return float64(r.n) / took, nil
	}
	return took / float64(r.n) * 1000, nil
}
