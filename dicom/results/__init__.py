"""Result objects: draft SR, findings SR, SC, GSPS, PDF, notices, verified SR."""
