# What control's and edges' machines may do in this account. What control may do in a tenant's is the tenant's to say:
# modules/tenant-account.

locals {
  faces = toset(["control", "edge"])

  # Of the secrets, who reads which.
  readers = {
    control = concat(["master-key", "edge-token", "database-url", "metadata-url"], local.mail_password ? ["smtp-password"] : [])
    edge    = ["edge-token"]
  }

  may = {
    control = concat(local.basics["control"], [
      {
        Sid      = "BucketsOfClusters"
        Effect   = "Allow"
        Action   = ["s3:CreateBucket", "s3:DeleteBucket", "s3:ListBucket"]
        Resource = local.cluster_arns
      },
      {
        Sid    = "SettingsThatTheyLack"
        Effect = "Allow"
        Action = [
          "s3:GetBucketPolicy", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
          "s3:PutBucketPolicy", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
        ]
        Resource = local.cluster_arns
      },
      {
        Sid      = "EmptyThem"
        Effect   = "Allow"
        Action   = "s3:DeleteObject"
        Resource = local.cluster_keys
      },
      {
        Sid      = "SessionsForNodes"
        Effect   = "Allow"
        Action   = "sts:AssumeRole"
        Resource = "arn:${local.partition}:iam::${local.account}:role/${var.name}-storage"
      },
      {
        Sid      = "SignForArtifactsAndBootLogs"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${aws_s3_bucket.this["artifacts"].arn}/*"
      },
      {
        Sid      = "AddToTheAuditLog"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.this["audit"].arn}/*"
      },
      {
        Sid      = "ListArtifacts"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.this["artifacts"].arn
      },
      {
        Sid      = "KeyOfBuckets"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = aws_kms_key.this.arn
      },
      # Nothing of EC2 is control's own to do: nodes are started by these roles alone, the installation's among them.
      {
        Sid      = "BecomeWhatTenantsAllow"
        Effect   = "Allow"
        Action   = "sts:AssumeRole"
        Resource = distinct(concat([try(var.nodes.account.role, "")], var.tenant_role_arns))
      },
    ])
    edge = local.basics["edge"]
  }

  basics = { for face in local.faces : face => [
    {
      Sid      = "ItsSecrets"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = [for name in local.readers[face] : aws_secretsmanager_secret.this[name].arn]
    },
    {
      Sid       = "KeyOfItsSecrets"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = aws_kms_key.this.arn
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
    },
    {
      Sid      = "ItsRelease"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "${aws_s3_bucket.this["artifacts"].arn}/releases/*"
    },
    {
      Sid      = "AgentsOfSessionManagerAndCloudWatch"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = [for bucket in ["amazon-ssm", "amazoncloudwatch-agent"] : "arn:${local.partition}:s3:::${bucket}-${local.region}/*"]
    },
    {
      Sid      = "ItsJournal"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.journal[face].arn}:*"
    },
    {
      Sid       = "KeyOfItsRelease"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = aws_kms_key.this.arn
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
    },
  ] }
}

resource "aws_iam_role" "face" {
  for_each = local.faces
  name     = "${var.name}-${each.key}"
  tags     = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "face" {
  for_each = local.faces
  name     = "updraft"
  role     = aws_iam_role.face[each.key].id
  policy   = jsonencode({ Version = "2012-10-17", Statement = local.may[each.key] })
}

# Sessions for operators, instead of ssh and a port for it.
resource "aws_iam_role_policy_attachment" "sessions" {
  for_each   = local.faces
  role       = aws_iam_role.face[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "face" {
  for_each = local.faces
  name     = "${var.name}-${each.key}"
  role     = aws_iam_role.face[each.key].name
  tags     = local.tags
}
