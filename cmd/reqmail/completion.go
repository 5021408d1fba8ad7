package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// What shells run to complete a command line: the line so far, with an option
// by which package cli lists what may follow.
const (
	bashCompletion = `_reqmail() {
    local cur=${COMP_WORDS[COMP_CWORD]}
    local line=("${COMP_WORDS[@]:0:COMP_CWORD}")
    [[ $cur == -* ]] && line+=("$cur")
    mapfile -t COMPREPLY < <(compgen -W "$("${line[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur")
}
complete -o default -F _reqmail reqmail
`
	zshCompletion = `#compdef reqmail
_reqmail() {
    local cur=${words[CURRENT]}
    local -a line=("${(@)words[1,CURRENT-1]}") found
    [[ $cur == -* ]] && line+=("$cur")
    found=("${(@f)$("${(@)line}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n ${found[1]} ]]; then compadd -- $found; else _files; fi
}
if [[ ${funcstack[1]} == _reqmail ]]; then _reqmail; else compdef _reqmail reqmail; fi
`
	fishCompletion = `function __reqmail_complete
    set -l line (commandline -opc)
    set -l cur (commandline -ct)
    string match -q -- '-*' $cur; and set -a line $cur
    $line --generate-bash-completion 2>/dev/null
end
complete -c reqmail -a '(__reqmail_complete)'
`
)

// completionCommand prints what makes a shell complete reqmail's commands.
func completionCommand() *cli.Command {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	return &cli.Command{
		Name: "completion", Usage: "print a script by which a shell completes commands and options", ArgsUsage: "bash|zsh|fish",
		Action: func(c *cli.Context) error {
			script, ok := scripts[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return usage{"completion takes the name of a shell: bash, zsh or fish"}
			}
			fmt.Fprint(c.App.Writer, script)
			return nil
		},
	}
}
