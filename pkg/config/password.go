package config

import (
	"fmt"
	"os"
	"strings"
)

// Password finds the password where the file says that it is, "" where the
// switch has none. An empty variable or file is an error: the switch would be
// asked without a password.
func (p *Power) Password() (string, error) {
	switch {
	case p.PasswordEnv != "":
		password := os.Getenv(p.PasswordEnv)
		if password == "" {
			return "", &passwordError{"environment variable " + p.PasswordEnv + " is not set", "set it to the password of " + p.URL}
		}
		return password, nil
	case p.PasswordFile != "":
		data, err := os.ReadFile(p.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password of %s: %w", p.URL, err)
		}
		password := strings.TrimRight(string(data), "\r\n")
		if password == "" {
			return "", &passwordError{"password file " + p.PasswordFile + " is empty", "put the password of " + p.URL + " into it"}
		}
		return password, nil
	default:
		return "", nil
	}
}

type passwordError struct{ reason, hint string }

func (e *passwordError) Error() string { return e.reason }

// Hint says what to do.
func (e *passwordError) Hint() string { return e.hint }
