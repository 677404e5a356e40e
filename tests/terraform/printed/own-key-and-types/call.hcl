module "updraft" {
  source = "./terraform/modules/tenant-account"
  installation = "prod"
  updraft_role_arn = "arn:aws:iam::123456789012:role/updraft-control"
  external_id = "updraft-0123456789abcdef0123456789abcdef"
  regions = ["eu-central-1"]
  subnet_arns = ["arn:aws:ec2:eu-central-1:210987654321:subnet/subnet-0a1b2c3d","arn:aws:ec2:eu-central-1:210987654321:subnet/subnet-1a1b2c3d"]
  other_external_ids = ["updraft-fedcba9876543210fedcba9876543210"]
  security_group_arns = ["arn:aws:ec2:eu-central-1:210987654321:security-group/sg-0a1b2c3d"]
  instance_types = ["t3.*","m7i.*","c7i.*","r7i.*","m7a.*","g5.*","p4d.*"]
  image_parameter_arns = ["arn:aws:ssm:eu-central-1:210987654321:parameter/acme/image"]
  kms_key_arns = ["arn:aws:kms:eu-central-1:210987654321:key/1234abcd-12ab-34cd-56ef-1234567890ab"]

  # A role and an instance profile for nodes: what they may read and write.
  nodes = {
    airflow = { writes = [], reads = ["BUCKET/PREFIX/"] }
  }
}
