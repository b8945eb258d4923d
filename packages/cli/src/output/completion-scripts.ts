/**
 * Scripts of shells that complete words of `zonemesh`. Each passes the words up to the cursor to the hidden command
 * `zonemesh __complete`. That prints a candidate per line, or `:files` or `:folders` where the shell completes a path.
 */
export const scripts = {
  bash: `# Completion of zonemesh for bash.
_zonemesh() {
  local -a words=() lines=()
  local word glued='' index
  # Bash divides words at "=" and ":". They are put together again.
  for ((index = 1; index <= COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if [[ \${#words[@]} -gt 0 && ( $word == [=:]* || $glued == yes ) ]]; then
      words[\${#words[@]}-1]+=$word
    else
      words+=("$word")
    fi
    [[ $word == [=:]* && $word != ::* ]] && glued=yes || glued=''
  done
  local current=\${words[\${#words[@]}-1]}
  mapfile -t lines < <(zonemesh __complete "\${words[@]}" 2>/dev/null)
  # Readline replaces only what follows the last "=" or ":".
  local before=\${current%"\${current##*[=:]}"}
  case \${lines[0]-} in
    :files | :folders)
      local path=\${current#--*=}
      compopt -o filenames 2>/dev/null
      if [[ \${lines[0]} == :files ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$path")
      else mapfile -t COMPREPLY < <(compgen -d -- "$path"); fi
      return
      ;;
  esac
  COMPREPLY=()
  for word in "\${lines[@]}"; do COMPREPLY+=("\${word#"$before"}"); done
  # A kind is completed as "kind" or goes on as "kind/name".
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _zonemesh zonemesh
`,
  zsh: `#compdef zonemesh
# Completion of zonemesh for zsh: put this file into a folder of fpath as _zonemesh, or source it after compinit.
_zonemesh() {
  local -a lines
  lines=("\${(@f)$(zonemesh __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case \${lines[1]} in
    :files) compset -P '--*='; _files ;;
    :folders) compset -P '--*='; _files -/ ;;
    '') return 1 ;;
    *) compadd -a lines ;;
  esac
}
if [[ $funcstack[1] == _zonemesh ]]; then _zonemesh "$@"; else compdef _zonemesh zonemesh; fi
`,
  fish: `# Completion of zonemesh for fish.
function __zonemesh_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (zonemesh __complete $words[2..-1] 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path (commandline -ct)
        case :folders
            __fish_complete_directories (commandline -ct)
        case '*'
            printf '%s\\n' $lines
    end
end
complete -c zonemesh -f -a '(__zonemesh_complete)'
`,
} as const
