# One key for all that rests: databases, buckets, secrets, logs. It turns by itself each year.

resource "aws_kms_key" "this" {
  description             = "Updraft ${var.name}: all data at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountDecidesByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "LogsOfThisInstallation"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [
          for group in ["/${var.name}/*", "/aws/rds/instance/${var.name}-*"] : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${group}"
        ] } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

# Values come from the operator, as binary ones, not from here: what Terraform knows is in its state. docs/runbook.md says
# how.
locals {
  secrets = merge({
    "master-key"   = "Encrypts secrets in control's database. Without it a backup is worth nothing: keep a copy elsewhere"
    "edge-token"   = "What edges prove themselves to control with"
    "database-url" = "Control's own Postgres, with a role of its own"
    "metadata-url" = "The metadata Postgres, with a role that may create databases and roles"
    }, local.mail_password ? {
    "smtp-password" = "Of the user in the mail server's address"
  } : {})
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57: turning one takes steps in Updraft, too: docs/runbook.md, "Rotate every key"
  for_each                = local.secrets
  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
  tags                    = local.tags
}
