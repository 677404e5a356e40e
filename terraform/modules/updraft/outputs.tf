output "console_url" {
  description = "Where people go."
  value       = "https://${var.domain}"
}

output "records" {
  description = "Names and what they are aliases of: to be made by hand where no zone was given."
  value       = { for record in local.records : record.name => record.at.dns_name }
}

output "control_role_arn" {
  description = "What tenants let assume their role: `updraft_role_arn` of modules/tenant-account."
  value       = aws_iam_role.face["control"].arn
}

output "buckets" {
  description = "Names of the buckets: artifacts, audit, access."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}

output "databases" {
  description = "Addresses of the two Postgres servers, and the secrets in which RDS keeps their operators' passwords."
  value = { for name, database in aws_db_instance.this : name => {
    address         = database.address
    operator_secret = one(database.master_user_secret[*].secret_arn)
  } }
}

output "secrets" {
  description = "Secrets that the operator fills: see docs/runbook.md."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}

output "nodes_reach" {
  description = "What nodes of tenants dial, all of it outbound: for rules of their networks."
  value = {
    control = "agents.${var.domain}:443"
    tunnels = "tunnels.${var.domain}:${local.ports.tunnels}"
    storage = "s3.${local.region}.amazonaws.com:443"
  }
}
